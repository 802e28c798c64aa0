from __future__ import annotations

import json
import math
from dataclasses import replace

from jsonschema import Draft202012Validator
from ledger_records import DEVICE, verdict_record
from makers import BUNDLE, make_part, make_recipe

from edge_runtime.broker.encoding import encode
from edge_runtime.broker.schemas import json_schema
from edge_runtime.decision.combine import combined_verdict, look_of
from edge_runtime.domain.audit import COMBINATION_NOTE, Attribution, combination_activated
from edge_runtime.domain.combination import Combination, Rule, Terms
from edge_runtime.domain.inspection import Inspection
from edge_runtime.domain.verdict import Limits

OTHER = replace(BUNDLE, name="other", digest="f" * 64)


def _message(second_score: float) -> dict:
    combination = Combination(Rule.CASCADE, (Terms(), Terms()))
    looks = [
        look_of(Inspection("p", 1.5, None, BUNDLE, 0, 3_000_000), Limits(1.0, 2.0)),
        look_of(Inspection("p", second_score, None, OTHER, 0, 20_000_000), Limits(10.0, math.inf)),
    ]
    verdict = combined_verdict(combination, looks, None, make_part(), make_recipe(), 0)
    record = replace(verdict_record(1), verdict=verdict)
    message = json.loads(encode(record, 1, DEVICE))
    Draft202012Validator(json_schema("inspection")).validate(message)
    return message


def test_every_look_is_in_the_message() -> None:
    """In order, with its bundle, its own limits, its score and its time."""
    message = _message(5.0)
    first, second = message["combined"]["looks"]
    assert message["combined"]["rule"] == "cascade"
    assert (first["score"], first["disposition"], first["took_ms"]) == (1.5, "REVIEW", 3.0)
    assert second["bundle"]["digest"] == message["bundle"]["digest"] == OTHER.digest
    assert second["limits"] == message["limits"] == {"review": 10.0, "reject": None}


def test_a_look_without_a_score_says_why() -> None:
    """NaN is null in JSON, and has no disposition."""
    message = _message(math.nan)
    second = message["combined"]["looks"][1]
    assert (second["score"], second["disposition"], second["reason"]) == (None, None, "score_invalid")
    assert second["detail"] == "the model returned nan"
    assert (message["disposition"], message["result_evaluation"]) == ("REJECT", 0)


def test_a_combination_is_recorded_when_it_changes_and_not_else() -> None:
    """Another rule, model, engine or limit is a change; so is that there is none any more."""
    by, models = Attribution("A. Meier", "fewer false rejects"), [(OTHER, "engine 1", Limits(1.0, 2.0))]
    first = combination_activated(None, "cascade", models, by, 1)
    assert first is not None
    assert first.attributes["digest_2"] == OTHER.digest
    assert (first.attributes["who"], first.attributes["rule"]) == ("A. Meier", "cascade")
    note = first.notes[COMBINATION_NOTE]
    assert combination_activated(note, "cascade", models, by, 2) is None
    for rule, others in (("any", models), ("cascade", [(OTHER, "engine 1", Limits(1.0, 3.0))])):
        assert combination_activated(note, rule, others, by, 2) is not None
    ended = combination_activated(note, "", [], by, 2)
    assert ended is not None
    assert combination_activated(ended.notes[COMBINATION_NOTE], "", [], by, 3) is None
    assert combination_activated(None, "", [], by, 3) is None
