from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = (
    "tuf",
    "securesystemslib",
    "cryptography",
    "urllib3",
    "rich",
    "pymodbus",
    "onnxruntime",
    "multiprocessing",
    "edge_runtime.bundles.install",
    "edge_runtime.services.activation",
    "edge_runtime.services.rollout",
    "edge_runtime.services.replay",
)
"""What signed updates, comparisons, replays, other gates and another engine need."""


def test_a_line_imports_only_what_it_runs(tmp_path: Path) -> None:
    """A file for a bundle, OpenVINO, a simulated gate: the daemon is ready without the rest."""
    (tmp_path / "in").mkdir()
    config = tmp_path / "line.toml"
    config.write_text(
        f'[bundle]\npath = "{ROOT / "models" / "demo_fast.bundle"}"\n[engine]\nname = "openvino"\n'
        '[camera]\nkind = "folder"\npath = "in"\n[plc]\nkind = "sim"\n'
        "[recipe]\ndecision_deadline_ms = 1000\n[recipe.reject]\ndelay_ms = 2000\n"
        '[device]\nname = "light"\nstate_dir = "state"\n',
        "utf-8",
    )
    code = (
        "import gc, sys\nfrom pathlib import Path\nfrom edge_runtime.__main__ import main\n"
        "from edge_runtime.app.daemon import Daemon\n"
        f"Daemon.run = lambda self: print([m for m in {HEAVY!r} if m in sys.modules], gc.isenabled())\n"
        f"sys.argv = ['edge-runtime', 'run', '-c', {str(config)!r}]\nmain()\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout == "[] True\n", found.stderr
