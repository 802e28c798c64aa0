"""Which patch network is fast enough, and what it is worth: multiplications, times and AUROC of candidates for XS.

    python tests/replay/efficientad_shapes.py                                   # multiplications and times
    python tests/replay/efficientad_shapes.py --shared ../shared --backbone BACKBONE.onnx --work WORK cookies …

Times need no data: the weights are exemplars from drawn scenes, the INT8 graph has all but its first convolution in
eight bits, and the candidates take turns, so that a busy machine slows all alike. AUROC is that of the float32 graph on
the test images of a set, with teacher and student solved for as `edge-convert distill` and `train efficientad` do it,
the teacher on half of the views. The backbone's features are kept in WORK.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from efficientad_on_sets import TEACHER_SETS

from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.efficientad.data import UnrelatedScenes, Views
from edge_convert.efficientad.device import Device
from edge_convert.efficientad.exemplars import start_on_exemplars
from edge_convert.efficientad.export import IMAGE, SCORE, float_nodes, to_onnx
from edge_convert.efficientad.model import EfficientAd
from edge_convert.efficientad.networks import LAYERS, PatchLayer, PdnSize, make_patch_network, pooled_twice
from edge_convert.efficientad.parts import GoodParts, as_inspected
from edge_convert.efficientad.procedural import draw_scene
from edge_convert.efficientad.quantiles import measure_teacher
from edge_convert.efficientad.solved import SILENCE, solve_student
from edge_convert.efficientad.targets import Targets, narrowed
from edge_convert.efficientad.teacher_start import start_teacher
from edge_convert.evaluate.metrics import image_auroc
from edge_convert.images import list_images, load_image, survey
from edge_convert.precision.qdq import QdqQuantizer
from edge_convert.precision.ranges import measure_ranges
from edge_convert.precision.routes import FloatGraph
from edge_convert.progress import Silent
from edge_convert.teaching.area import Area
from edge_convert.training.images import split, subset
from edge_runtime import engine
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from edge_runtime.engine.port import Graph


@dataclass(frozen=True, slots=True)
class Shape:
    """A candidate."""

    layers: tuple[PatchLayer, ...]
    outputs: int
    side_px: int = 256


def _strided(first: int, second: int, third: int) -> tuple[PatchLayer, ...]:
    """Convolutions of stride two in the place of poolings: the same grid and field, a quarter of the positions."""
    return (
        PatchLayer(5, first, stride=2),
        PatchLayer(5, second, stride=2),
        PatchLayer(3, third),
        PatchLayer(4, 0),
    )


def _both(first: int, second: int, third: int) -> tuple[PatchLayer, ...]:
    return PatchLayer(5, first, stride=2), PatchLayer(4, second, pooled=True), PatchLayer(3, third), PatchLayer(4, 0)


SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "S": Shape(LAYERS[PdnSize.S], 384),
        "S at 128 px": Shape(LAYERS[PdnSize.S], 384, 128),
        "pooled 64-128-128": Shape(pooled_twice(64, 128, 128), 64),
        "pooled 64-128-128 at 192 px (XS)": Shape(LAYERS[PdnSize.XS], 64, 192),
        "pooled 32-64-128": Shape(pooled_twice(32, 64, 128), 64),
        "stride, pooled 48-96-128": Shape(_both(48, 96, 128), 64),
        "strides 64-128-128": Shape(_strided(64, 128, 128), 64),
        "strides 32-64-96": Shape(_strided(32, 64, 96), 64),
    }
)
_CPU: Final = Device("cpu", bf16=True)
_EXACT: Final = Device("cpu", bf16=False)
_TURNS: Final = 20


class _Kept:
    """Views at the patch network's size and the backbone's features of them, made once and then read from WORK."""

    def __init__(self, shared: Path, backbone: Path, work: Path) -> None:
        pictures, features = work / "views.npy", work / "features.npy"
        if not features.exists():
            work.mkdir(parents=True, exist_ok=True)
            folders = tuple(shared / "data" / name / "train/good" for name in TEACHER_SETS)
            views = Views(folders, scenes=150, per_image=3, per_folder=16, seed=0, side_px=512)
            loaded = load_backbone(backbone, 512, 512)
            targets = Targets(loaded, choose_layers(loaded, ()), views, 384, 1, 0)
            np.save(pictures, np.stack([views.half(index) for index in range(len(views))]))
            np.save(features, np.stack([targets.of(index) for index in range(len(views))]))
        self._pictures = np.load(pictures, mmap_mode="r")[::2]
        self._features = np.load(features, mmap_mode="r")[::2]
        self.wide = self._features.shape[1]
        self.channels = self.wide

    def __len__(self) -> int:
        return len(self._pictures)

    def half(self, index: int) -> npt.NDArray[np.uint8]:
        """As `Views.half`."""
        return np.asarray(self._pictures[index])

    def of(self, index: int) -> npt.NDArray[Any]:
        """As `Targets.of`, at most `channels` of them."""
        grid = self._features[index]
        rows = narrowed(grid.reshape(len(grid), -1).T.astype(np.float32), self.channels)
        return rows.T.reshape(self.channels, *grid.shape[1:])


def multiplications(shape: Shape) -> int:
    """Of the one patch network that a graph with a solved student runs."""
    total, channels, side = 0, 3, shape.side_px
    for layer in shape.layers:
        side = (side - layer.kernel) // layer.stride + 1
        width = layer.width or shape.outputs
        total += layer.kernel**2 * channels * width * side**2
        channels, side = width, side // 2 if layer.pooled else side
    return total


def around(teacher: Any, shape: Shape) -> EfficientAd:
    """A model whose student is to be solved for, without an autoencoder."""
    student = make_patch_network(shape.layers, shape.outputs)
    student.load_state_dict(teacher.state_dict())
    ones = torch.ones(1, shape.outputs, 1, 1)
    side = shape.side_px
    return EfficientAd(teacher, student, None, 0 * ones, ones, shape.outputs, side, side)


def graphs(shape: Shape) -> tuple[bytes, bytes, npt.NDArray[np.uint8]]:
    """Float32 and INT8 of exemplars from drawn scenes, and a picture."""
    pictures = [draw_scene(np.random.default_rng((0, 3, number)), shape.side_px) for number in range(6)]
    teacher = make_patch_network(shape.layers, shape.outputs)
    start_on_exemplars(teacher, _EXACT.normalised(_EXACT.tensor(pictures)), np.random.default_rng(0))
    model = to_onnx(around(teacher, shape))
    graph = FloatGraph(model, IMAGE, (SCORE,), float_nodes(model, PdnSize.XS))
    with Silent().stage("ranges", len(pictures)) as stage:
        ranges = measure_ranges(graph, (picture[np.newaxis] for picture in pictures), stage)
    return model.SerializeToString(), QdqQuantizer(graph, ranges).quantize(frozenset()), pictures[0][np.newaxis]


def time_all(names: list[str], threads: int) -> None:
    """Print multiplications and, for each precision and engine, the median time, the shortest, and processor time."""
    found: dict[tuple[str, str], tuple[Graph, Any]] = {}
    for name in names:
        plain, quantised, image = graphs(SHAPES[name])
        for precision, content in (("float32", plain), ("INT8", quantised)):
            for which in ("onnxruntime", "openvino"):
                loaded = engine.create(EngineSettings(name=which, threads=threads)).load(content)
                found[name, f"{precision}, {which}"] = loaded, image
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in found}
    for turn in range(_TURNS + 2):
        for key, (graph, image) in found.items():
            started, used = time.perf_counter(), time.process_time()
            graph.run({IMAGE: image}, [SCORE])
            if turn > 1:  # the first runs allocate
                taken[key].append((time.perf_counter() - started, time.process_time() - used))
    kinds = list(dict.fromkeys(kind for _, kind in found))
    print("| network | channels | giga MAC |", " | ".join(f"{kind}: p50, least, CPU ms" for kind in kinds), "|")  # noqa: T201
    for name in names:
        cells = []
        for kind in kinds:
            walls, processor = (np.array(values) * 1e3 for values in zip(*taken[name, kind], strict=True))
            cells.append(f"{np.median(walls):.1f}, {walls.min():.1f}, {np.median(processor):.1f}")
        shape = SHAPES[name]
        print(f"| {name} | {shape.outputs} | {multiplications(shape) / 1e9:.2f} |", " | ".join(cells), "|")  # noqa: T201


def solved(shape: Shape, kept: Any) -> tuple[Any, float]:
    """A teacher from `_Kept`, and its error on views that it was not solved on."""
    kept.channels = shape.outputs
    every = range(0, len(kept), 4)
    values = np.concatenate([kept.of(index)[:, ::4, ::4].reshape(shape.outputs, -1).T for index in every])
    mean, std = (torch.from_numpy(found(values.astype(np.float32), 0)).view(1, -1, 1, 1) for found in (np.mean, np.std))
    network = _CPU.place(make_patch_network(shape.layers, shape.outputs))
    error = start_teacher(network, kept, kept, (mean, std.clamp(min=1e-3)), _CPU, 0, Silent())
    return network, error


def auroc(shape: Shape, teacher: Any, dataset: Path, silence: float) -> float:
    """Of the float32 graph on the test images."""
    side = shape.side_px
    model = around(teacher, shape)
    model.place(_CPU)
    images = survey(dataset / "train/good")
    chosen, _ = split(len(images.files), None, 0)
    spec = InputSpec(IMAGE, side, side, Resize.AREA, ColourOrder.RGB, Layout.NHWC, "uint8")
    parts = GoodParts(subset(images, chosen), Area(spec))
    measure_teacher(model, parts, 100, _CPU, Silent())
    solve_student(model, parts, UnrelatedScenes(side, side), silence, _CPU, 0, Silent())
    graph = engine.create(EngineSettings(name="onnxruntime", threads=1)).load(to_onnx(model).SerializeToString())
    scores: dict[bool, list[float]] = {False: [], True: []}
    for folder in sorted((dataset / "test").iterdir()):
        for file in list_images(folder):
            image = as_inspected(load_image(file), spec)[np.newaxis]
            scores[folder.name != "good"].append(float(graph.run({IMAGE: image}, [SCORE])[SCORE][0]))
    return image_auroc(scores[False], scores[True])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=2, help="of the engines that are timed")
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES))
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--backbone", type=Path)
    parser.add_argument("--work", type=Path, help="where the backbone's features are kept")
    parser.add_argument("--silence", type=float, default=SILENCE[PdnSize.S], help="weight of the student's silence")
    parser.add_argument("sets", nargs="*", help="on which AUROC is measured, instead of times")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.sets:
        time_all(arguments.shapes, arguments.threads)
        return
    kept = _Kept(arguments.shared, arguments.backbone, arguments.work)
    print("| network | giga MAC | teacher's error |", " | ".join(arguments.sets), "|")  # noqa: T201
    for name in arguments.shapes:
        shape = SHAPES[name]
        teacher, error = solved(shape, kept)
        found = [
            f"{auroc(shape, teacher, arguments.shared / 'data' / each, arguments.silence):.4f}"
            for each in arguments.sets
        ]
        print(f"| {name} | {multiplications(shape) / 1e9:.2f} | {error:.3f} |", " | ".join(found), "|", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
