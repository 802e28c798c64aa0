"""How far a memory bank grows for new good parts, and what that means for the limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.adding.cover import scores_without_themselves, uncovered
from edge_convert.bank_search import GRAPH_ROLE, graph_payloads
from edge_convert.exact_search import build_search, read_rows
from edge_convert.features import FeatureExtractor
from edge_convert.limits import LOWEST_COUNT, limits_for
from edge_convert.naming import named
from edge_convert.search_graph import SearchBank, bank_of, read_bank
from edge_runtime import engine
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_convert.exact_search import SearchPayloads
    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.domain.model_bundle import Calibration, ModelBundle
    from edge_runtime.domain.verdict import Limits

    Floats = npt.NDArray[np.float32]

LARGEST_GROWTH: Final = 0.5
"""Of the bank: more is no longer a correction but another product, and the search grows slower with every patch."""
_LIMIT_SHARE: Final = 0.9
"""Of the review limit: no farther from the bank than this does an added part stay."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The bank before and after, and what was seen on the way."""

    bank: SearchBank
    rows: Floats | None
    """The bank's patches; None where a graph holds it."""
    added: Floats
    radius: float
    full: bool
    """More would have been added, had it been allowed."""
    before: list[float]
    unseen: list[float]
    calibration: Calibration
    method: str

    @property
    def limits(self) -> Limits:
        """Of the grown bundle."""
        return self.calibration.limits

    @property
    def size(self) -> int:
        """Patches in the grown bank."""
        return self.bank.size + len(self.added)

    def search(self, manifest: ModelBundle) -> SearchPayloads:
        """The grown bank, in the form that the bundle has it in: all numbers of the present patches stay bit for bit.

        Distances therefore can only fall, whatever is added. Another form would round them anew.
        """
        patches = int(manifest.parameters["grid_height"] * manifest.parameters["grid_width"])
        if self.rows is not None:
            return build_search(np.concatenate([self.rows, self.added]), patches)
        graph = self.bank.grown(self.added).graph(patches)
        return graph_payloads(graph, manifest.graphs[GRAPH_ROLE], manifest.outputs["distances"])


def grow(
    inspector: Inspector, images: ImageSet, settings: EngineSettings, observer: Observer, *, sample: bool
) -> Growth:
    """Look at the new parts, and add what of them the bank does not cover.

    Args:
        inspector: the bundle as it is.
        images: new good parts.
        settings: of the engine.
        observer: who watches.
        sample: the parts are an unselected sample of present production.

    Raises:
        ConfigError: too few parts for a sample, scores that are reweighted, or a bundle that was imported.
        BundleError: the search graph holds no bank that can grow.
        ImageError: an image does not fit the bundle's input.
    """
    manifest = inspector.bundle
    if "neighbours" in manifest.graphs:
        raise ConfigError(
            f"bundle {manifest.identity.name} reweights its scores by neighbours in the bank, which new patches change",
            "Teach the bundle again with the new good parts among the images.",
        )
    if "score_scale" in manifest.parameters:
        raise ConfigError(
            f"bundle {manifest.identity.name} was imported: its scores are in units of another program, and its bank "
            "was not taught here",
            "Train the model again where it comes from, or teach a bundle with `edge-convert teach`.",
        )
    rows = read_rows(inspector.payloads.read(manifest.graphs["bank"])) if "bank" in manifest.graphs else None
    bank = read_bank(inspector.payloads.read(manifest.graphs["search"])) if rows is None else bank_of(rows)
    radius = covering_radius(manifest)
    parts, before = _look(inspector, images, settings, observer)
    most = max(1, round(LARGEST_GROWTH * bank.size))
    added = uncovered(parts, bank, radius, most)
    unseen = scores_without_themselves(parts, bank, radius, most)
    calibration, method = _calibration(manifest.calibration, unseen, sample=sample)
    return Growth(bank, rows, added, radius, len(added) >= most, before, unseen, calibration, method)


def covering_radius(manifest: ModelBundle) -> float:
    """How far from the bank the farthest patch of a part may lie that the bank knows.

    The median score of taught parts, which the bundle's reference states; for older bundles the lowest held-out score.
    """
    calibration = manifest.calibration
    images = () if manifest.reference is None else manifest.reference.images
    known = [image.score for image in images if image.payload is None and not image.defective]
    radius = float(np.median(known)) if known else min(calibration.good_scores)
    return min(radius, _LIMIT_SHARE * calibration.limits.review)


def _look(
    inspector: Inspector, images: ImageSet, settings: EngineSettings, observer: Observer
) -> tuple[list[Floats], list[float]]:
    """Patches and present score of each part."""
    manifest = inspector.bundle
    spec = manifest.input_spec
    mask = None if spec.mask is None else decode_image(inspector.payloads.read(spec.mask)).array > 0
    grid = (int(manifest.parameters["grid_height"]), int(manifest.parameters["grid_width"]))
    features = engine.create(settings).load(inspector.payloads.read(manifest.graphs["features"]))
    extractor = FeatureExtractor(features, spec, mask, grid)
    parts: list[Floats] = []
    scores: list[float] = []
    with observer.stage("looking at the new parts", len(images.files)) as stage:
        for index in range(len(images.files)):
            exposure = images.load(index)
            with named(images.files[index]):
                scores.append(inspector.inspect((exposure,)).score)
            parts.append(extractor.patches(exposure))
            stage.advance()
    return parts, scores


def _calibration(old: Calibration, unseen: list[float], *, sample: bool) -> tuple[Calibration, str]:
    """Limits that remain honest.

    A larger bank lowers every score, so the old limits keep their false-reject rate, and false rejects, which were
    selected for their scores, say nothing about it: the limits stay. A sample of present production does say
    something: it joins the old held-out scores with the scores that its parts have while they are not in the bank.
    """
    if not sample:
        return (
            old,
            "kept: the bank only grew, so no score rose and the false-reject rate they were drawn for still holds",
        )
    if len(unseen) < LOWEST_COUNT:
        raise ConfigError(
            f"--sample: {len(unseen)} parts are no sample to draw limits from",
            f"Supply at least {LOWEST_COUNT}, better 50, or leave --sample out to keep the limits.",
        )
    if not 0 < old.false_reject_rate < 0.5:  # noqa: PLR2004
        raise ConfigError(
            f"--sample: the bundle's limits were not drawn for a false-reject rate ({old.false_reject_rate:.0%} of its "
            "good parts lie above them), so there is none to draw them for again",
            "Leave --sample out to keep the limits, or draw them first with edge-convert relimit --false-reject-rate.",
        )
    scores = tuple(sorted((*old.good_scores, *unseen)))
    found = limits_for(scores, old.false_reject_rate)
    method = (
        f"{found.method}; {len(old.good_scores)} scores held out at teaching (with the smaller bank, so on the safe "
        f"side) and {len(unseen)} of added parts, each scored with only the other ones added"
    )
    return replace(old, limits=found.limits, good_scores=scores), method
