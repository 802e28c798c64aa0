"""What there is before anything is learnt: images, a backbone, its features graph, an engine."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.features import SharedGraphs, input_spec
from edge_convert.graphs import build_features
from edge_convert.images import survey_watched
from edge_convert.limits import LOWEST_COUNT
from edge_convert.teaching.area import resolve_area
from edge_convert.teaching.views import PieceImages, Views
from edge_runtime import engine
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.cutting import Cutter

if TYPE_CHECKING:
    from edge_convert.backbone import Backbone, Layer
    from edge_convert.graphs import FeatureGraph
    from edge_convert.images import ImageSet
    from edge_convert.options import TeachOptions
    from edge_convert.progress import Observer
    from edge_convert.teaching.area import Area
    from edge_runtime.domain.model_bundle import InputSpec


@dataclass(frozen=True, slots=True)
class Material:
    """What is there before anything is learnt."""

    options: TeachOptions
    images: ImageSet
    backbone: Backbone
    layers: tuple[Layer, ...]
    graph: FeatureGraph
    area: Area
    engine: SharedGraphs

    @property
    def patches(self) -> int:
        """Patches of one piece of an image."""
        return self.graph.grid_height * self.graph.grid_width

    @property
    def spec(self) -> InputSpec:
        """How a frame reaches the features graph."""
        return self.area.spec

    @property
    def views(self) -> Views:
        """How the parts of the images lie."""
        return Views(self.images, self.area, self.options.area.rotate, self.options.seed)

    @property
    def patches_in_all(self) -> int:
        """Patches of all images, in all their views."""
        return len(self.images.files) * self.views.count * self.area.count * self.patches

    @property
    def area_notes(self) -> dict[str, str]:
        """For the bundle: how a large frame is cut, and how parts were turned."""
        notes = {"tiles": "; ".join(self.area.notices), "rotation": self.views.note}
        return {name: text for name, text in notes.items() if text}

    @property
    def network_images(self) -> ImageSet:
        """What the network sees of the images: themselves, or a piece of each."""
        if self.area.spec == self.area.whole:
            return self.images
        found = {field.name: getattr(self.images, field.name) for field in fields(self.images)}
        return PieceImages(**found, cutter=Cutter(self.area.spec, self.area.mask, paint=True))

    @property
    def created(self) -> str:
        """The state of the inputs, not the time of day: the same inputs are to give the same bundle."""
        stated = os.environ.get("SOURCE_DATE_EPOCH", "")
        newest = max(self.images.newest_mtime_s, int(self.options.backbone.stat().st_mtime))
        seconds = int(stated) if stated.isdigit() else newest
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def gather(options: TeachOptions, observer: Observer) -> Material:
    """Read and check everything that teaching needs.

    Raises:
        ConfigError: the images or the backbone cannot be used.
        EngineError: the engine is not there.
    """
    runner = SharedGraphs(engine.create(options.engine))
    backbone = load_backbone(options.backbone, options.height_px, options.width_px, options.mean, options.std)
    layers = choose_layers(backbone, options.layers)
    graph = build_features(backbone, layers)
    images = survey_watched(options.images, observer)
    announce((*backbone.notices, *images.warnings), observer)
    if len(images.files) < LOWEST_COUNT:
        raise ConfigError(
            f"{options.images} holds {len(images.files)} usable images; a model cannot be taught from them",
            f"Record at least {LOWEST_COUNT} good parts, better 100: `edge-runtime capture` does it on the line.",
        )
    spec = input_spec(options.height_px, options.width_px, options.region, options.resize)
    area = resolve_area(options.area, spec, images.load(0))
    announce(area.notices, observer)
    return Material(options, images, backbone, layers, graph, area, runner)


def announce(texts: tuple[str, ...], observer: Observer) -> None:
    """Say each of them now."""
    for text in texts:
        observer.notice(text)
