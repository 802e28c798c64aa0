from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_records import DEVICE, WALL_NS, event_record, file_identity, verdict_record
from pydantic import ValidationError

from edge_runtime.broker.encoding import MAX_TEXT_CHARS, encode, iso_time, offline_status, result_evaluation
from edge_runtime.broker.messages import EventMessage, InspectionMessage, StatusMessage
from edge_runtime.domain.verdict import Disposition, Reason


def _no_constant(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def _decoded(payload: bytes) -> dict[str, object]:
    decoded: dict[str, object] = json.loads(payload, parse_constant=_no_constant)
    return decoded


def test_an_inspection_says_everything_about_its_verdict() -> None:
    """The whole message, field by field: what a subscriber builds on."""
    assert _decoded(encode(verdict_record(3, file=file_identity(3)), 12, DEVICE)) == {
        "schema_version": 1,
        "device": "line-1",
        "time": "2023-11-14T22:13:20.123456Z",
        "time_ns": WALL_NS + 3,
        "sequence": 12,
        "part_id": "part-3",
        "part_sequence": 3,
        "frame_sequence": 3,
        "disposition": "PASS",
        "result_evaluation": 1,
        "reason": "below_limit",
        "score": 0.5,
        "limits": {"review": 1.0, "reject": 2.0},
        "bundle": {"name": "test", "version": "1", "digest": "0" * 64, "trust": "development"},
        "latency_ms": 5.0,
        "camera": "camera",
        "recipe": "test",
        "file": {
            "path": "shift/part-3.png",
            "size_bytes": 1_003,
            "mtime_ns": WALL_NS + 3,
            "sha256": f"{3:064x}",
        },
        "evidence": None,
        "detail": "",
        "combined": None,
    }


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf"), None])
def test_a_score_that_json_has_no_word_for_is_null(score) -> None:
    """NaN and infinity never reach a subscriber."""
    assert _decoded(encode(verdict_record(1, score=score), 1, DEVICE))["score"] is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_scores_arrive_bit_for_bit(score: float) -> None:
    """Figures computed from messages equal those computed on the device."""
    assert _decoded(encode(verdict_record(1, score=score), 1, DEVICE))["score"] == score


@given(st.text(), st.text(alphabet=st.characters(codec=None, categories=None), max_size=50))
def test_any_text_is_valid_json(part_id: str, detail: str) -> None:
    """Also lone surrogates, which a file name that is not UTF-8 brings."""
    InspectionMessage.model_validate_json(encode(verdict_record(1, part_id=part_id, detail=detail), 1, DEVICE))


def test_long_text_is_cut() -> None:
    """A stack of error text cannot make a message that a broker refuses for ever."""
    detail = _decoded(encode(verdict_record(1, detail="x" * 100_000), 1, DEVICE))["detail"]
    assert isinstance(detail, str)
    assert len(detail) == MAX_TEXT_CHARS


def test_event_attributes_keep_their_types() -> None:
    """A boolean stays one, and what JSON cannot say is null."""
    payload = encode(event_record(1, hard=True, count=2, share=0.5, name="a", broken=float("nan")), 1, DEVICE)
    message = EventMessage.model_validate_json(payload)
    assert message.attributes == {"hard": True, "count": 2, "share": 0.5, "name": "a", "broken": None}
    assert _decoded(payload)["attributes"]["hard"] is True  # type: ignore[index]


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("disposition", list(Disposition))
def test_a_fault_is_undefined_and_never_ok(disposition, reason) -> None:
    """OPC's word follows the disposition only where a sound score stands behind it."""
    found = result_evaluation(disposition, reason)
    expected = {Disposition.PASS: 1, Disposition.REJECT: 2, Disposition.REVIEW: 3}[disposition]
    assert found == (0 if reason.is_fault else expected)


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_times_are_utc_and_exact_to_the_microsecond(wall_ns: int) -> None:
    """Truncated, never rounded into the future."""
    text = iso_time(wall_ns)
    assert text.endswith("Z")
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo == UTC
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds == wall_ns // 1_000


def test_the_last_will_is_a_status_that_is_not_ready() -> None:
    """A subscriber reads it with the same schema."""
    status = StatusMessage.model_validate_json(offline_status(DEVICE, "1.0", WALL_NS, "gone"))
    assert (status.state, status.ready, status.detail) == ("offline", False, "gone")


def test_a_nan_in_a_status_is_refused_where_it_is_made() -> None:
    """It would be a defect of ours; it must not become a word that JSON does not know."""
    with pytest.raises(ValidationError):
        StatusMessage.model_validate(
            {"device": "d", "time": "t", "time_ns": 1, "state": "offline", "ready": False, "version": "1"}
            | {"latency_p50_ms": float("nan")}
        )
