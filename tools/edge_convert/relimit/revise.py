"""A new revision of a bundle: the same payloads, other limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_convert.limits import LOWEST_COUNT, limits_for
from edge_convert.relimit.rules import consequences
from edge_convert.seal import seal
from edge_runtime.bundles.writer import draft_of_manifest
from edge_runtime.decision.judge import classify
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.verdict import Disposition, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_convert.relimit.rules import Rule
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.bundles.writer import BundleDraft
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.domain.model_bundle import Calibration, GoldenImage, ModelBundle, Reference


@dataclass(frozen=True, slots=True)
class Revision:
    """What was written."""

    bundle: str
    digest: str
    revision: int
    before: Limits
    after: Limits
    method: str
    consequences: tuple[str, ...]
    left_out: tuple[str, ...]
    """Golden images that lie too near the new limits to prove anything; they stay in the file, unused."""


def revise(
    inspector: Inspector,
    rule: Rule,
    good: Sequence[float],
    defective: Sequence[float],
    out: Path,
    engine: EngineSettings,
    reason: str,
) -> Revision:
    """Write the bundle with the rule's limits and proved golden images; weights, maps and reference stay.

    The reject limit is drawn as in teaching, from the tail of the good scores for a tenth of the rule's false-reject
    rate (of the bundle's, where the rule has none), and never lies below the review limit.

    Args:
        inspector: the bundle as it is.
        rule: the new review limit.
        good: scores of good parts on this bundle.
        defective: scores of defective parts; may be empty.
        out: file to write; may be the bundle itself, which is then replaced at once.
        engine: proves the new revision before it is put in place.
        reason: who wants it and why; goes into the notes.

    Raises:
        ConfigError: a golden defect would pass, or no golden image remains.
        BundleError: the bundle cannot be written or does not reproduce itself.
    """
    manifest = inspector.bundle
    limits = Limits(review=rule.review, reject=_reject(rule, good, manifest))
    golden, left_out = _golden(manifest, limits)
    draft = _draft(manifest, _calibration(manifest, limits, rule, good), golden, rule.method, reason)
    payloads = {name: inspector.payloads.read(name) for name in manifest.payloads}
    digest = seal(out, draft, payloads, engine)
    return Revision(
        bundle=str(out),
        digest=digest,
        revision=draft.revision,
        before=manifest.calibration.limits,
        after=limits,
        method=rule.method,
        consequences=consequences(rule.review, good, defective),
        left_out=left_out,
    )


def _draft(
    manifest: ModelBundle, calibration: Calibration, golden: tuple[GoldenImage, ...], method: str, reason: str
) -> BundleDraft:
    """The next revision."""
    number = manifest.revision + 1
    return replace(
        draft_of_manifest(manifest),
        calibration=calibration,
        golden=golden,
        reference=_reference(manifest.reference, golden),
        revision=number,
        notes={**manifest.notes, "limits": method, f"revision_{number}": f"limits changed: {reason}"},
    )


def _calibration(manifest: ModelBundle, limits: Limits, rule: Rule, good: Sequence[float]) -> Calibration:
    rate = rule.false_reject_rate
    if rate is None:
        rate = sum(score > limits.review for score in good) / len(good)
    return replace(manifest.calibration, limits=limits, good_scores=tuple(sorted(good)), false_reject_rate=rate)


def _reject(rule: Rule, good: Sequence[float], manifest: ModelBundle) -> float:
    if len(good) < LOWEST_COUNT:
        return max(rule.review, manifest.calibration.limits.reject)
    stated = manifest.calibration.false_reject_rate if rule.false_reject_rate is None else rule.false_reject_rate
    rate = min(0.49, max(1 / (len(good) + 1), stated, 1e-3))
    return max(rule.review, limits_for(good, rate).limits.reject)


def _golden(manifest: ModelBundle, limits: Limits) -> tuple[tuple[GoldenImage, ...], tuple[str, ...]]:
    """Golden images with their dispositions under the new limits."""
    sources = {} if manifest.reference is None else {image.payload: image for image in manifest.reference.images}
    kept: list[GoldenImage] = []
    left_out: list[str] = []
    for golden in manifest.golden:
        found = classify(golden.expected_score, limits)[0]
        source = sources.get(golden.payload)
        defective = source.defective if source is not None else golden.disposition != Disposition.PASS.value
        if defective and found is Disposition.PASS:
            raise ConfigError(
                f"the golden defect {golden.payload} (score {golden.expected_score:.4g}) would pass at a limit of "
                f"{limits.review:.4g}",
                "Choose a lower limit. If such a mark is acceptable, teach the product again with such parts as good.",
            )
        if _clear(golden, limits) and (source is None or _same_side(source.score, golden.expected_score, limits)):
            kept.append(replace(golden, disposition=found.value))
        else:
            left_out.append(golden.payload)
    if not kept:
        raise ConfigError(
            "every golden image lies within its tolerance of the new limits, so nothing would prove the model",
            "Choose limits farther from them, or make the bundle again.",
        )
    return tuple(kept), tuple(left_out)


def _clear(golden: GoldenImage, limits: Limits) -> bool:
    low, high = golden.expected_score - golden.tolerance, golden.expected_score + golden.tolerance
    return classify(low, limits)[0] is classify(high, limits)[0]


def _same_side(one: float, other: float, limits: Limits) -> bool:
    return (one <= limits.review) == (other <= limits.review)


def _reference(reference: Reference | None, golden: tuple[GoldenImage, ...]) -> Reference | None:
    """Without the golden images that are left out: the self-test looks only at those that the manifest lists."""
    if reference is None:
        return None
    names = {image.payload for image in golden}
    kept = tuple(image for image in reference.images if image.payload is None or image.payload in names)
    return replace(reference, images=kept)
