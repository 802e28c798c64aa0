"""The second backbone: filters that are computed and not learnt, a small scattering network in plain ONNX.

Two layers of complex Gabor filters in eight directions and four octaves with the modulus between and behind them, local
averages at stride 8, no trained weight (Bruna and Mallat, "Invariant Scattering Convolution Networks", IEEE TPAMI 35,
2013, section 2). Beside the moduli stand the two polarities of the even filters, which tell a bright line from a dark
one, the moduli of two opponent colours, and the local colour itself.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats: TypeAlias = NDArray[np.float32]

BLOCKS: Final = {"luma": 32, "polarity": 64, "chroma": 32, "second": 96, "colour": 6}
"""The kinds of features with their numbers of channels, in the order of the output."""
_STRENGTHS: Final = {"luma": 5.002, "polarity": 8.948, "chroma": 10.961, "second": 18.222, "colour": 2.827}
"""Factors under which the deviations of each kind have a root mean square length of one, measured once on eight drawn
pictures: distances weigh the strong more, and no kind is to hide another."""
INPUT_MEAN: Final = 0.5
INPUT_STD: Final = 0.25
_OUTPUT: Final = "scattering"
_OPSET: Final = 17
_IR_VERSION: Final = 8
_OCTAVES: Final = 4
_DIRECTIONS: Final = 8
_SIDE: Final = 7
_REACH: Final = _SIDE // 2
_WAVELENGTH: Final = 4.0
_SIGMA: Final = 1.7
STRIDE: Final = 8
_FLOOR: Final = 1e-6
"""Added under the root: the modulus stays smooth at zero."""
_OPPONENT: Final = np.array([[0.299, 0.587, 0.114], [0.5, -0.5, 0.0], [0.25, 0.25, -0.5]], np.float32)
"""RGB to brightness, red against green, yellow against blue."""
_BINOMIAL: Final = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).astype(np.float32) / 256


def gabor(directions: int) -> tuple[Floats, Floats]:
    """Return even and odd filters, directions x 7 x 7 each, blind to a flat ground, of unit absolute sum."""
    axis = np.arange(_SIDE) - _REACH
    y, x = np.meshgrid(axis, axis, indexing="ij")
    window = np.exp(-(x**2 + y**2) / (2 * _SIGMA**2))
    even, odd = [], []
    for angle in np.pi * np.arange(directions) / directions:
        phase = 2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / _WAVELENGTH
        wave = window * np.cos(phase)
        wave -= window * (wave.sum() / window.sum())
        across = window * np.sin(phase)
        size = (np.abs(wave).sum() + np.abs(across).sum()) / 2
        even.append(wave / size)
        odd.append(across / size)
    return np.stack(even).astype(np.float32), np.stack(odd).astype(np.float32)


@dataclass(slots=True)
class Graph:
    """Nodes and constants of a graph under construction; each method adds a node and returns its result's name."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one result."""
        name = f"scatter_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant."""
        name = f"scatter_c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def conv(self, item: str, weight: Floats, stride: int, reach: int, group: int = 1) -> str:
        """Convolve; what lies beyond the border is what lies on it."""
        if reach:
            pads = self.constant(np.array([0, 0, reach, reach] * 2, np.int64))
            item = self.add("Pad", [item, pads], mode="edge")
        return self.add("Conv", [item, self.constant(weight)], strides=[stride] * 2, group=group)

    def half(self, item: str, channels: int) -> str:
        """Blur and keep every other row and column."""
        return self.conv(item, np.tile(_BINOMIAL, (channels, 1, 1, 1)), 2, 2, channels)

    def part(self, item: str, first: int, end: int) -> str:
        """Return some channels."""
        ends = [self.constant(np.array([value], np.int64)) for value in (first, end, 1)]
        return self.add("Slice", [item, *ends])

    def modulus(self, item: str, pairs: int) -> str:
        """Return the modulus of `pairs` even responses followed by as many odd ones."""
        squared = self.add("Mul", [item, item])
        total = self.add("Add", [self.part(squared, 0, pairs), self.part(squared, pairs, 2 * pairs)])
        return self.add("Sqrt", [self.add("Add", [total, self.constant(np.array(_FLOOR, np.float32))])])

    def to_grid(self, item: str, stride: int) -> str:
        """Average down to stride 8."""
        return item if stride == STRIDE else self.average(item, STRIDE // stride)

    def average(self, item: str, ratio: int) -> str:
        """Average squares of `ratio` cells a side; what is left over at the border makes a cell, too."""
        return self.add("AveragePool", [item], kernel_shape=[ratio] * 2, strides=[ratio] * 2, ceil_mode=1)


def _first_weights() -> Floats:
    """Return 32 x 3 x 7 x 7: even then odd filters of brightness (8) and of the two colours (4 each), on RGB."""
    both = [(bank, bank[::2]) for bank in gabor(_DIRECTIONS)]
    rows = []
    for fine, coarse in both:
        for mix, filters in zip(_OPPONENT, (fine, coarse, coarse), strict=True):
            rows.append(mix[None, :, None, None] * filters[:, None])
    return np.concatenate(rows).astype(np.float32)


def _second_weights() -> Floats:
    """Return 32 x 1 x 7 x 7 for one group per direction: even and odd, along the direction and across it."""
    even, odd = gabor(_DIRECTIONS)
    turned = _DIRECTIONS // 2
    stacked = np.stack([even, np.roll(even, turned, 0), odd, np.roll(odd, turned, 0)], 1)
    return np.ascontiguousarray(stacked.reshape(-1, 1, _SIDE, _SIDE))


def _sampling(octave: int) -> tuple[int, int]:
    """Return the step of an octave's filters on its own grid, and the stride of their result on the image."""
    step = 1 if 2 ** (octave + 1) > STRIDE else 2
    return step, step * 2**octave


def _second(graph: Graph, item: str, octave: int) -> str:
    """Filter the moduli of eight directions once more; return 16 channels at stride 8."""
    step, stride = _sampling(octave)
    answer = graph.conv(item, _second_weights(), step, _REACH, _DIRECTIONS)
    # groups give (even, even, odd, odd) per direction: bring the even ones to the front
    split = graph.constant(np.arange(4 * _DIRECTIONS).reshape(_DIRECTIONS, 2, 2).transpose(1, 0, 2).reshape(-1))
    return graph.to_grid(graph.modulus(graph.add("Gather", [answer, split], axis=1), 2 * _DIRECTIONS), stride)


def _blocks(graph: Graph, image: str) -> dict[str, str]:
    """Add the network on a normalised image; return the name of each block's result, at stride 8."""
    found: dict[str, list[str]] = {block: [] for block in BLOCKS}
    plane, weights, moduli = image, _first_weights() * INPUT_STD, list[str]()
    pairs = len(weights) // 2
    for octave in range(_OCTAVES):
        step, stride = _sampling(octave)
        answer = graph.conv(plane, weights, step, _REACH)
        modulus = graph.modulus(answer, pairs)
        luma = graph.part(modulus, 0, _DIRECTIONS)
        found["luma"].append(graph.to_grid(luma, stride))
        found["chroma"].append(graph.to_grid(graph.part(modulus, _DIRECTIONS, pairs), stride))
        even = graph.part(answer, 0, _DIRECTIONS)
        for bright in (even, graph.add("Neg", [even])):
            found["polarity"].append(graph.to_grid(graph.add("Relu", [bright]), stride))
        found["second"] += [_second(graph, item, octave) for item in moduli]
        if octave + 1 < _OCTAVES:
            moduli = [graph.half(item, _DIRECTIONS) for item in moduli] + [luma]
            plane = graph.half(plane, 3)
    mean = graph.average(image, STRIDE)
    wide = graph.add("AveragePool", [mean], kernel_shape=[3, 3], pads=[1] * 4)
    mix = np.ascontiguousarray(_OPPONENT[:, :, None, None] * INPUT_STD)
    found["colour"] = [graph.conv(item, mix, 1, 0) for item in (mean, wide)]
    return {block: graph.add("Concat", items, axis=1) for block, items in found.items()}


def scattering() -> onnx.ModelProto:
    """Return the network: `input` N x 3 x H x W, normalised RGB, to `scattering` N x 230 at stride 8, rounded up."""
    graph = Graph()
    found = _blocks(graph, "input")
    strengths = {block: graph.constant(np.array(strength, np.float32)) for block, strength in _STRENGTHS.items()}
    graph.add("Concat", [graph.add("Mul", [found[block], strengths[block]]) for block in BLOCKS], axis=1)
    graph.nodes[-1].output[0] = _OUTPUT
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, "height", "width"])
    shape = ["n", sum(BLOCKS.values()), "rows", "columns"]
    result = helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, shape)
    body = helper.make_graph(graph.nodes, _OUTPUT, [image], [result], graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="train_backbone")
    model.ir_version = _IR_VERSION
    return model


def write(target: Path) -> None:
    """Write `target`, an fp32 ONNX file that passes ONNX's own checker, to the bit the same every time."""
    model = scattering()
    metadata = {
        "name": target.stem,
        "input_mean": ",".join([str(INPUT_MEAN)] * 3),
        "input_std": ",".join([str(INPUT_STD)] * 3),
        "licence": "Apache-2.0",
        "training": "none: computed filters; five strengths measured on procedural images",
    }
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    target.write_bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="its stem becomes the name in the metadata")
    write(parser.parse_args().target)


if __name__ == "__main__":
    main()
