"""What is known of models and devices: costs as ratios, because milliseconds belong to one machine only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Model:
    """A kind of bundle that can be made here."""

    name: str
    make: str
    """The command that makes it."""
    cost: float
    """Time of one inspection in INT8, in units of PatchCore with a ResNet-18 at 256 × 256."""
    fp32_cost: float
    """The same in float32."""
    memory_mb: int
    """Of one loaded bundle beside the daemon's own 150 MB, measured or counted from its weights."""
    lowest_good: int
    """Good images below which it is not worth trying."""
    effort: str
    """What making it takes."""
    accuracy: int
    """Rank on surface defects, 3 the best: measured here for 1 and 2 (models/README.md, docs/efficientad.md), as
    published for 3."""
    logical: bool
    """Made by this command, it also sees what is missing or in the wrong place although every detail looks normal: it
    has an autoencoder, which a student that is solved for does not."""
    int8_holds: bool = True
    """INT8 mostly keeps parity, so that its time may be promised."""
    input_px: int = 256
    """Side of what it looks at."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where it is to run."""

    name: str
    unit_ms: float
    """Time of the unit of `Model.cost`."""
    memory_mb: int
    int8_pays: bool
    basis: str
    """Where `unit_ms` comes from."""


MODELS: Final = (
    Model(
        name="PatchCore with a ResNet-18",
        make="edge-convert backbone resnet18, then edge-convert teach GOOD --backbone resnet18.onnx",
        cost=1.0,
        fp32_cost=3.2,
        memory_mb=120,
        lowest_good=5,
        effort="a minute or a few on any PC, no PyTorch",
        accuracy=2,
        logical=False,
    ),
    Model(
        name="PatchCore with the backbone that ships",
        make="edge-convert teach GOOD --backbone models/backbones/…",
        cost=0.9,
        fp32_cost=2.6,
        memory_mb=110,
        lowest_good=5,
        effort="a minute or a few on any PC, no PyTorch, no download",
        accuracy=1,
        logical=False,
    ),
    Model(
        name="PatchCore with a Wide ResNet-50",
        make="edge-convert backbone wide_resnet50_2, then edge-convert teach GOOD --backbone wide_resnet50_2.onnx",
        cost=3.7,
        fp32_cost=13.0,
        memory_mb=420,
        lowest_good=20,
        effort="some minutes on any PC, no PyTorch",
        accuracy=3,
        logical=False,
    ),
    Model(
        name="EfficientAD-XS",
        make="edge-convert distill --size xs, then edge-convert train efficientad GOOD --size xs --teacher TEACHER",
        cost=0.9,
        fp32_cost=2.8,
        memory_mb=60,
        lowest_good=20,
        effort="minutes on any PC, with PyTorch; a teacher distilled once",
        accuracy=1,
        logical=False,
        int8_holds=False,
        input_px=192,
    ),
    Model(
        name="EfficientAD-S",
        make="edge-convert train efficientad GOOD --size s --student learnt --teacher TEACHER",
        cost=9.0,
        fp32_cost=40.0,
        memory_mb=200,
        lowest_good=100,
        effort="hours of training, in practice with a GPU; a teacher distilled once",
        accuracy=3,
        logical=True,
    ),
    Model(
        name="EfficientAD-M",
        make="edge-convert train efficientad GOOD --size m --student learnt --teacher TEACHER",
        cost=35.0,
        fp32_cost=140.0,
        memory_mb=350,
        lowest_good=100,
        effort="hours of training with a GPU; a teacher distilled once",
        accuracy=3,
        logical=True,
    ),
)

DEVICES: Final = {
    "line-pc": Device(
        "line PC with AVX-512 VNNI or AVX-VNNI, two threads", 8.0, 8_000, True, "measured on an AMD EPYC"
    ),
    "old-pc": Device("PC with plain AVX2, two threads", 30.0, 4_000, True, "measured with the instruction set masked"),
    "jetson": Device("Jetson Orin, on its CPU", 40.0, 8_000, True, "an estimate from its clock; not run yet"),
    "raspberry-pi": Device("Raspberry Pi 5", 60.0, 4_000, True, "an estimate from its clock; not run yet"),
}
