"""What there is before anything is learnt: images, a backbone, its features graph, an engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.features import SharedGraphs, input_spec
from edge_convert.graphs import build_features
from edge_convert.images import list_images, survey
from edge_convert.limits import LOWEST_COUNT
from edge_runtime import engine
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from edge_convert.backbone import Backbone, Layer
    from edge_convert.graphs import FeatureGraph
    from edge_convert.images import ImageSet
    from edge_convert.options import TeachOptions
    from edge_convert.progress import Observer
    from edge_runtime.domain.model_bundle import InputSpec


@dataclass(frozen=True, slots=True)
class Material:
    """What is there before anything is learnt."""

    options: TeachOptions
    images: ImageSet
    backbone: Backbone
    layers: tuple[Layer, ...]
    graph: FeatureGraph
    spec: InputSpec
    engine: SharedGraphs

    @property
    def patches(self) -> int:
        """Patches of one prepared image."""
        return self.graph.grid_height * self.graph.grid_width

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
    with observer.stage("checking images", len(list_images(options.images))) as stage:
        images = survey(options.images, stage.advance)
    announce((*backbone.notices, *images.warnings), observer)
    if len(images.files) < LOWEST_COUNT:
        raise ConfigError(
            f"{options.images} holds {len(images.files)} usable images; a model cannot be taught from them",
            f"Record at least {LOWEST_COUNT} good parts, better 100: `edge-runtime capture` does it on the line.",
        )
    spec = input_spec(options.height_px, options.width_px, options.region)
    return Material(options, images, backbone, layers, graph, spec, runner)


def announce(texts: tuple[str, ...], observer: Observer) -> None:
    """Say each of them now."""
    for text in texts:
        observer.notice(text)
