"""anomalib's coreset of given features, timed; runs in anomalib's environment.

    ANOMALIB-ENV/bin/python -m bench.anomalib_coreset --features DIR/features.npy --bank 2048 --seeds 6 --out DIR

Writes `anomalib-SEED.npy`, the numbers of the chosen rows, and `anomalib.json` with wall and processor seconds.
`--steps` measures so many choices only, without a bank: each costs as much as the next.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from anomalib.models.components.sampling import KCenterGreedy


def main() -> None:
    """Choose a bank for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--bank", type=int, required=True)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, required=True)
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    features = torch.from_numpy(np.load(flags.features))
    chosen = flags.steps or flags.bank
    runs = []
    for seed in range(flags.seeds):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  (its projection draws from it)
        wall, used = time.monotonic(), time.process_time()
        rows = KCenterGreedy(features, (chosen + 0.5) / len(features)).select_coreset_idxs()
        runs.append({"seed": seed, "wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - used})
        if flags.steps is None:
            np.save(flags.out / f"anomalib-{seed}.npy", np.asarray(rows))
    document = {"rows": len(features), "bank": flags.bank, "chosen": chosen, "runs": runs}
    (flags.out / "anomalib.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
