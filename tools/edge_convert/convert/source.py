"""What every route to a bundle (import, EfficientAD, autoencoders) hands to the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from edge_convert.arguments import check_bundle
from edge_convert.defects import plant_defect
from edge_convert.evaluate.dataset import open_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_convert.search_form import WantedForm
    from edge_convert.teaching.area import Area
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.detectors.port import Detection
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import DetectorKind, InputSpec, ParityLimits
    from edge_runtime.domain.verdict import Limits


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A float32 model as one graph, and how frames reach it."""

    model: Any
    """`onnx.ModelProto`, float32, batch of one, fixed input size; every node has a name of its own."""
    kind: DetectorKind
    input_spec: InputSpec
    outputs: Mapping[str, str]
    """Role → graph output, see `ModelBundle.outputs`."""
    created: str
    """ISO 8601 UTC: the state of the inputs, so that equal inputs give equal bundles."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    keep_float: frozenset[str] = frozenset()
    """Nodes that are never quantized: normalisation before the first layer, quantiles behind the last."""
    notes: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    """What was assumed or found odd; goes into the bundle's warnings."""
    engines: tuple[str, ...] = ()
    """The only engines that can run it; empty: `model` is ONNX, which any can. Otherwise `model` is anything with
    `SerializeToString()` that these engines load, and its numbers stay as they are."""
    payload: str = "model.onnx"
    """Its name in the bundle."""
    role: str = "model"
    """Its role in the bundle."""
    further: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    """Role → payload name and content, of what the model needs beside its graph: never quantized."""
    whole: SourceModel | None = None
    """What this was cut out of: where only a recording is left of the source, it speaks about what nobody recorded."""
    area: Area | None = None
    """The tiles and the mask of `input_spec`; None: it has neither."""

    @property
    def graphs(self) -> Mapping[str, str]:
        """Role → payload name, of the model and all that it needs."""
        return {self.role: self.payload, **{role: name for role, (name, _) in self.further.items()}}

    @property
    def payloads(self) -> Mapping[str, bytes]:
        """What belongs into the bundle beside the model."""
        return {**dict(self.further.values()), **({} if self.area is None else self.area.payloads)}

    def plant(self, frame: Exposure, seed: int, kind: int) -> Exposure:
        """The frame with a defect where it is inspected; same arguments, same pixels."""
        if self.area is None:
            return plant_defect(frame, seed, kind, self.input_spec.region)
        return self.area.plant(frame, seed, kind)


class ReferenceModel(Protocol):
    """The source model in its own runtime, float32, with its own preprocessing. Deterministic."""

    @property
    def description(self) -> str:
        """Framework and versions."""

    def inspect(self, path: Path | None, exposure: Exposure) -> Detection:
        """What the source says about one image.

        Args:
            path: the image file, None for an image made in memory; a recorded reference looks its answer up by the
                SHA-256 of the file's bytes.
            exposure: the same image, decoded as the daemon decodes it.

        Raises:
            ConfigError: the source has no answer for this image.
        """

    def covers(self, path: Path | None) -> bool:
        """False if only recorded answers are there and none is for this file; None: an image made in memory."""


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """What a person decides about a conversion, whatever the model."""

    out: Path
    name: str
    version: str
    engine: EngineSettings
    precision: str = "auto"
    """auto (INT8 if it keeps parity and is faster here), int8, fp32, fp16 or bf16."""
    false_reject_rate: float | None = None
    golden: int = 3
    seed: int = 0
    limits: ParityLimits | None = None
    """None: the defaults."""
    allow_loss: bool = False
    fixed_limits: Limits | None = None
    """Limits that the source brings along; None: drawn from the good images."""
    even_if_slower: bool = False
    """Take the INT8 that was asked for although float32 is faster here."""
    dataset: Path | None = None
    """Labelled images in MVTec's folders, for AUROC on both sides."""
    search: WantedForm = "auto"
    """Form of a memory bank's search, where the model has a bank."""

    def check(self) -> None:
        """Refuse at once what would fail after the work.

        Raises:
            ConfigError: names the option.
            DatasetError: `dataset` is not a labelled dataset.
        """
        check_bundle(self.out, self.name, self.version, self.false_reject_rate)
        if self.dataset is not None:
            open_dataset(self.dataset)
