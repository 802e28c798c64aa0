"""Records of what people changed: configuration, model, limits, overrides; each with who and why.

ISO 9001 and 21 CFR Part 11 expect them beside the verdicts. They are events of the ledger, so the hash chain covers
them. What each is compared with at the next start is noted with it (`EventRecord.notes`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.domain.records import EventRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.domain.verdict import BundleIdentity, Limits

CONFIGURATION_NOTE = "configuration"
MODEL_NOTE = "model"
LIMITS_NOTE = "limits"
COMBINATION_NOTE = "combination"
NOT_STATED = "not stated"
_UNSET = "unset"
MOST_CHANGES = 200
"""More changed keys are counted, not listed: the digests tell that they differ."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who stands behind a change."""

    who: str = NOT_STATED
    why: str = NOT_STATED

    def attributes(self) -> dict[str, str | int | float | bool]:
        """As they stand in a record."""
        return {"who": self.who or NOT_STATED, "why": self.why or NOT_STATED}


def configuration_digest(flat: Mapping[str, str]) -> str:
    """SHA-256 (hexadecimal) of the canonical JSON of a configuration's keys and values."""
    return hashlib.sha256(_canonical(flat).encode()).hexdigest()


def configuration_changed(
    note: str | None, flat: Mapping[str, str], by: Attribution, wall_ns: int
) -> EventRecord | None:
    """The record that the configuration is another one than last time; None if it is the same.

    Args:
        note: what the last such record noted; None if there is none.
        flat: dotted key → value, both as text, without secrets.
    """
    old: dict[str, str] = {} if note is None else json.loads(note)
    if note is not None and old == flat:
        return None
    changes = {
        key: f"{old.get(key, _UNSET)} → {flat.get(key, _UNSET)}"
        for key in sorted({*old, *flat})
        if old.get(key) != flat.get(key)
    }
    first = "the first configuration that this ledger knows" if note is None else f"{len(changes)} keys changed"
    return EventRecord(
        "configuration_changed",
        "info",
        f"{first}; by {by.who}: {by.why}",
        wall_ns,
        {
            **by.attributes(),
            "old_digest": "" if note is None else configuration_digest(old),
            "new_digest": configuration_digest(flat),
            "changed_keys": len(changes),
            **dict(list(changes.items())[:MOST_CHANGES]),
        },
        {CONFIGURATION_NOTE: _canonical(flat)},
    )


def model_activated(
    note: str | None,
    bundle: BundleIdentity,
    revision: int,
    engine: str,
    by: Attribution,
    wall_ns: int,
    limits: Limits | None = None,
) -> EventRecord | None:
    """The record that another model decides than last time; None if it is the same bundle.

    Args:
        note: what the last such record noted.
        revision: of the bundle's limits.
        engine: what it runs on.
        by: who made this revision of the bundle or put it in place, as far as that is known.
        wall_ns: when.
        limits: those that came into force with it, where they did.
    """
    if note == bundle.digest:
        return None
    return EventRecord(
        "model_activated",
        "info",
        f"{bundle.name} {bundle.version} revision {revision} decides from now on; by {by.who}: {by.why}",
        wall_ns,
        {
            **by.attributes(),
            "bundle": bundle.name,
            "version": bundle.version,
            "revision": revision,
            "digest": bundle.digest,
            "previous_digest": note or "",
            "trust": bundle.trust,
            "engine": engine,
            **({} if limits is None else {"review": limits.review, "reject": limits.reject}),
        },
        {MODEL_NOTE: bundle.digest, **({} if limits is None else {LIMITS_NOTE: limits_note(limits)})},
    )


def combination_activated(
    note: str | None,
    rule: str,
    models: Sequence[tuple[BundleIdentity, str, Limits]],
    by: Attribution,
    wall_ns: int,
) -> EventRecord | None:
    """The record that other models than last time look at parts beside the line's own; None if they are the same.

    Args:
        note: what the last such record noted.
        rule: how they are combined; empty where there is none.
        models: the further ones in their order, each with what it runs on and the limits that are in force for it.
    """
    said: dict[str, str | int | float | bool] = {"rule": rule or "none", "models": len(models)}
    for place, (bundle, engine, limits) in enumerate(models, 2):
        said |= {
            f"bundle_{place}": bundle.name,
            f"version_{place}": bundle.version,
            f"digest_{place}": bundle.digest,
            f"trust_{place}": bundle.trust,
            f"engine_{place}": engine,
            f"review_{place}": limits.review,
            f"reject_{place}": limits.reject,
        }
    text = _canonical(said) if models else ""
    if (note or "") == text:
        return None
    names = ", ".join(f"{bundle.name} {bundle.version}" for bundle, _, _ in models)
    what = f"combined by {rule} with {names}" if models else "no other model is combined with the line's own any more"
    return EventRecord(
        "combination_activated",
        "info",
        f"{what}; by {by.who}: {by.why}",
        wall_ns,
        {**by.attributes(), **said},
        {COMBINATION_NOTE: text},
    )


def limits_changed(note: str | None, limits: Limits, by: Attribution, wall_ns: int) -> EventRecord | None:
    """The record that other limits are in force than last time; None if they are the same.

    Args:
        note: the limits before, as `limits_note` writes them.
    """
    text = limits_note(limits)
    if note == text:
        return None
    before = json.loads(note) if note is not None else {"review": _UNSET, "reject": _UNSET}
    change = f"review {before['review']} → {limits.review:g}, reject {before['reject']} → {limits.reject:g}"
    return EventRecord(
        "limits_changed",
        "info",
        f"{change}; by {by.who}: {by.why}",
        wall_ns,
        {
            **by.attributes(),
            "old_review": before["review"],
            "old_reject": before["reject"],
            "new_review": limits.review,
            "new_reject": limits.reject,
        },
        {LIMITS_NOTE: text},
    )


def limits_note(limits: Limits) -> str:
    """Limits as a note."""
    return _canonical({"review": limits.review, "reject": limits.reject})


def operator_override(what: str, by: Attribution, wall_ns: int, **attributes: str | float | bool) -> EventRecord:
    """The record that a person overrode the line.

    Args:
        what: the override, in words.
        attributes: what it was about, by name.
    """
    about = {**attributes, **by.attributes()}
    return EventRecord("operator_override", "warning", f"{what}; by {by.who}: {by.why}", wall_ns, about)


def _canonical(content: Mapping[str, object]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
