"""The whole product on real images: teach, eval, and the daemon with a watched folder and a separate subscriber.

    python tests/replay/line_on_sets.py --shared ../shared --backbone BACKBONE.onnx hazelnut_toy cookies

For each set: teach on `train/good`; `edge-convert eval` on the test images; then the daemon watches a folder into which
every test image is copied, `mosquitto_sub` with a persistent session collects the messages, and the AUROC computed from
those messages must equal eval's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from line_process import DaemonProcess, SubscriberProcess, wait_until
from mosquitto import Mosquitto

FLOORS = {"hazelnut_toy": 1.000, "dobot_cubes": 1.000, "cookies": 0.970, "deeppcb": 0.692, "casting": 0.989}
"""Image AUROC of an independent plain PatchCore-R18, from the evaluation sets' own README."""


@dataclass(frozen=True, slots=True)
class SetResult:
    """What one set gave."""

    name: str
    images: int
    distinct: int
    duplicates: int
    auroc_line: float
    auroc_eval: float
    scores_equal: bool
    """Every score in a message equals eval's score for that file, bit for bit."""
    pixel_auroc: float | None
    taught: dict[str, Any]
    """What `teach` said of it."""
    teach_s: float
    line_s: float

    @property
    def floor(self) -> float:
        """What has to be reached: the table's value less 0.005, or less one swapped pair."""
        return FLOORS[self.name]


def run_set(shared: Path, backbone: Path, name: str, work: Path, *flags: str) -> SetResult:
    """Run one set from teaching, with further flags for it, to the subscriber."""
    dataset = shared / "data" / name
    bundle, figures, said = work / f"{name}.bundle", work / f"{name}.json", work / f"{name}-taught.json"
    started = time.monotonic()
    source = ("--backbone", backbone, "--name", name, *flags)
    _edge_convert("teach", dataset / "train" / "good", "--out", bundle, "--json", said, *source)
    taught = time.monotonic()
    _edge_convert("eval", bundle, dataset, "--report", work / f"{name}-report", "--json", figures)
    evaluation = json.loads(figures.read_text(encoding="utf-8"))
    begun = time.monotonic()
    messages = inspect_folder(bundle, _test_images(dataset), work / name)
    ended = time.monotonic()
    distinct = {(m["device"], m["sequence"]): m for m in messages}
    scores = {m["part_id"]: m["score"] for m in distinct.values()}
    expected = {_flat(row["file"]): row["score"] for row in evaluation["images"]}
    return SetResult(
        name=name,
        images=len(expected),
        distinct=len(distinct),
        duplicates=len(messages) - len(distinct),
        auroc_line=auroc(scores),
        auroc_eval=evaluation["figures"]["image_auroc"],
        scores_equal=scores == expected,
        pixel_auroc=evaluation["figures"]["pixel_auroc"],
        taught=json.loads(said.read_text(encoding="utf-8")),
        teach_s=taught - started,
        line_s=ended - begun,
    )


def inspect_folder(bundle: Path, images: dict[str, Path], work: Path) -> list[dict]:
    """Copy every image into the daemon's folder; returns all inspection messages that the subscriber got."""
    folder, state = work / "in", work / "state"
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        broker = Mosquitto(work / "mosquitto").start()
        stack.callback(broker.stop)
        subscriber = SubscriberProcess(broker.port, "edge/replay/inspection", work / "messages.jsonl")
        stack.callback(subscriber.close)
        config = work / "line.toml"
        config.write_text(_CONFIG.format(state=state, bundle=bundle, folder=folder, port=broker.port), encoding="utf-8")
        daemon = DaemonProcess(config, work / "daemon.log")
        stack.callback(daemon.close)
        daemon.wait_ready()
        for name, path in images.items():
            partial = folder / f"{name}.part"
            shutil.copyfile(path, partial)
            partial.rename(folder / name)
        wait_until(lambda: len(subscriber.distinct()) >= len(images), f"{len(images)} messages", 600)
        assert daemon.terminate() == 0, "the daemon did not stop cleanly"
        return subscriber.messages()


def auroc(scores: dict[str, float]) -> float:
    """Share of (defective, good) pairs in which the defective one scores higher; ties count half."""
    good = [score for name, score in scores.items() if name.startswith("good__")]
    bad = [score for name, score in scores.items() if not name.startswith("good__")]
    wins = sum((b > g) + 0.5 * (b == g) for b in bad for g in good)
    return wins / (len(good) * len(bad))


def _test_images(dataset: Path) -> dict[str, Path]:
    files = sorted(path for path in (dataset / "test").rglob("*") if path.is_file())
    return {_flat(path.relative_to(dataset).as_posix()): path for path in files}


def _flat(file: str) -> str:
    """`test/good/x.png` becomes `good__x.png`."""
    return file.removeprefix("test/").replace("/", "__")


def _edge_convert(*arguments: object) -> None:
    command = [sys.executable, "-m", "edge_convert", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


_CONFIG = """
[device]
name = "replay"
state_dir = "{state}"
[bundle]
path = "{bundle}"
[camera]
kind = "folder"
path = "{folder}"
[recipe]
decision_deadline_ms = 5000.0
reject.delay_ms = 6000.0
[mqtt]
port = {port}
[ops]
metrics_port = 0
"""


def main() -> None:
    """Run the named sets and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--work", type=Path)
    parser.add_argument("sets", nargs="*", default=list(FLOORS))
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="line-on-sets-"))
    work.mkdir(parents=True, exist_ok=True)
    print("| set | images | distinct | AUROC line | eval | floor | scores equal | pixel AUROC | teach s | line s |")
    for name in options.sets:
        r = run_set(options.shared.resolve(), options.backbone.resolve(), name, work)
        pixel = "–" if r.pixel_auroc is None else f"{r.pixel_auroc:.4f}"
        print(
            f"| {r.name} | {r.images} | {r.distinct} | {r.auroc_line:.4f} | {r.auroc_eval:.4f} | {r.floor:.3f} "
            f"| {r.scores_equal} | {pixel} | {r.teach_s:.0f} | {r.line_s:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
