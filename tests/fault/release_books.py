"""Do the books agree about who decided? For the simulated line and the real processes alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_runtime.domain.errors import UpdateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edge_runtime.bundles.store import ReleaseStore

FIRST, SECOND = "confirmed long ago", "confirmed before"
SOUND = frozenset({FIRST, SECOND, "confirmed", "taken_back", "installed", "install_killed"})
"""What is the matter with a release that may be the last-known-good one after all."""
NEVER_RUNS = frozenset({"refused", "damaged"})
"""Found out before it decides about any part."""


@dataclass(slots=True)
class ReleaseFacts:
    """What is known of a line's releases after a run."""

    kinds: dict[str, str] = field(default_factory=dict)
    """Digest of every release that ever was in the store → what was the matter with it."""
    reject_limits: dict[str, float] = field(default_factory=dict)
    """Digest → its own limit, where it has one that no other has."""
    next_start: str = ""
    """Digest of what the store would start with, its file checked once more; empty: nothing."""
    known_good: str = ""
    """Digest of the last-known-good release then."""
    refusal: str = ""
    """Why nothing could be started."""
    unsettled: bool = False
    """The line runs something else than the books say, or something still waits for it."""

    def look(self, store: ReleaseStore, product: str) -> None:
        """The daemon has ended: what would the next start begin with?"""
        try:
            chosen = store.resolve_start(product)
            good = store.standing(product).known_good
        except UpdateError as error:
            self.refusal = error.what
        else:
            self.next_start = chosen.digest
            self.known_good = "" if good is None else good.digest


def release_findings(messages: Sequence[Mapping[str, Any]], facts: ReleaseFacts) -> list[str]:
    """Every verdict names the release that decided, one decides at a time, and what is left is sound.

    Args:
        messages: everything that was ever committed, in the order of its sequence.
        facts: empty `kinds`: the line has a file, not releases.
    """
    if not facts.kinds:
        return []
    verdicts = [m for m in messages if "part_sequence" in m]
    findings = [*_named(verdicts, facts), *_one_at_a_time(messages)]
    if facts.unsettled:
        findings.append("the line does not run what its store says, or a release still waits for it")
    if facts.refusal:
        return [*findings, f"after the run no release may start: {facts.refusal}"]
    if (good := facts.kinds.get(facts.known_good)) not in SOUND:
        findings.append(f"the last-known-good release is the one that was: {good}")
    if (chosen := facts.kinds.get(facts.next_start)) in NEVER_RUNS or chosen is None:
        findings.append(f"the next start would be with the one that was: {chosen}")
    return findings


def _named(verdicts: Sequence[Mapping[str, Any]], facts: ReleaseFacts) -> Iterator[str]:
    strangers = [v["part_sequence"] for v in verdicts if v["bundle"]["digest"] not in facts.kinds]
    if strangers:
        yield f"verdicts that name no release of this line: {strangers[:10]} ({len(strangers)})"
    judged = [v for v in verdicts if v["score"] is not None and v["bundle"]["digest"] in facts.kinds]
    if never := [v["part_sequence"] for v in judged if facts.kinds[v["bundle"]["digest"]] in NEVER_RUNS]:
        yield f"parts judged by a release that may not run: {never[:10]} ({len(never)})"
    own = facts.reject_limits
    mixed = [v["part_sequence"] for v in judged if v["limits"]["reject"] != own.get(v["bundle"]["digest"])]
    if own and mixed:
        yield f"parts judged by one release with the limits of another: {mixed[:10]} ({len(mixed)})"


def _one_at_a_time(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each model decides from its `model_activated` on until the next one's first verdict, and then never again."""
    reigns: list[str] = []
    place = 0
    for message in messages:
        if message.get("kind") == "model_activated":
            reigns.append(message["attributes"]["digest"])
        elif message.get("score") is not None:
            digest = message["bundle"]["digest"]
            if digest not in reigns[place:]:
                yield f"part {message['part_sequence']} was judged by {digest[:8]} while another model decided"
                return
            place = reigns.index(digest, place)


def release_account(messages: Sequence[Mapping[str, Any]], facts: ReleaseFacts) -> list[str]:
    """For the page about the run; nothing for a line without releases."""
    if not facts.kinds:
        return []
    told = [m["kind"].removeprefix("model_") for m in messages if m.get("kind", "").startswith(("model_", "trial_"))]
    return [
        f"  releases   {', '.join(facts.kinds.values())}; good at the end: {facts.kinds.get(facts.known_good)}",
        f"             {', '.join(told)}",
    ]
