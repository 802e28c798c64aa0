"""AnomaVision's PatchCore, exported to ONNX and run by its own `ModelWrapper`, as a worker.

    PYTHONPATH=ANOMAVISION ENV/bin/python tools/bench/anomavision_onnx.py --bank 16384 --grid 0
    PYTHONPATH=ANOMAVISION ENV/bin/python tools/bench/anomavision_onnx.py

Without options it is what the library makes by default: a bank of 2,048 patches on a grid of 14×14. Weights and bank
are random, seeded: for timing alone. `ANOMAVISION` is a folder into which `pip install --no-deps --target` put
`anomavision` and `easydict`; ENV has torch, torchvision, onnx and onnxruntime (its own requirements pin numpy 1.26).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from worker import serve

_SEED = 7
_CHANNELS = 384
_SIZE_PX = 224


def make(out: Path, bank: int, grid: int | None) -> None:
    """Build and export the model."""
    import torch  # noqa: PLC0415  (the command line's help needs no torch)
    import torchvision.models  # noqa: PLC0415  (likewise)

    plain = torchvision.models.resnet18
    torchvision.models.resnet18 = lambda *_, **__: plain(weights=None)  # nothing is downloaded
    from anomavision.algorithm.patchcore.patchcore import PatchCore  # noqa: PLC0415  (after that)

    torch.manual_seed(_SEED)
    rows = torch.nn.functional.normalize(torch.randn(bank, _CHANNELS), dim=-1)
    model = PatchCore("resnet18", layer_indices=[1, 2], memory_bank=rows, patch_grid=grid).eval()
    image = torch.zeros(1, 3, _SIZE_PX, _SIZE_PX)
    torch.onnx.export(model, (image,), out, input_names=["input"], verbose=False)  # as its own exporter calls it


def main() -> None:
    """Serve one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=int, default=2_048)
    parser.add_argument("--grid", type=int, default=14, help="0: the network's own")
    options = parser.parse_args()
    sys.stdout, real = sys.stderr, sys.stdout
    with tempfile.TemporaryDirectory(prefix="anomavision-") as folder:
        file = Path(folder) / "model.onnx"
        make(file, options.bank, options.grid or None)
        started = time.monotonic()
        from importlib.metadata import version  # noqa: PLC0415  (loading starts here)

        from anomavision.inference.model.wrapper import ModelWrapper  # noqa: PLC0415  (part of loading)
        from anomavision.utils import create_image_transform  # noqa: PLC0415  (likewise)
        from PIL import Image  # noqa: PLC0415  (likewise)

        model, transform = ModelWrapper(str(file), "cpu"), create_image_transform((_SIZE_PX, _SIZE_PX))

        def look(frame: Any) -> float:
            image = Image.open(frame).convert("RGB") if isinstance(frame, Path) else Image.fromarray(frame)
            scores, _ = model.predict(transform(image)[None])
            return float(scores.reshape(-1)[0])

        sys.stdout = real
        detail = f"anomavision {version('anomavision')}, its ONNX backend, f32"
        serve(f"AnomaVision, bank {options.bank}", detail, time.monotonic() - started, look)


if __name__ == "__main__":
    main()
