"""PyTorch is there, and waits quietly."""

from __future__ import annotations

import importlib.util
import os

from edge_runtime.domain.errors import ConfigError


def need_torch() -> None:
    """Call it before the first import of PyTorch: it also sets how its threads wait, which PyTorch reads only then.

    Raises:
        ConfigError: PyTorch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise ConfigError("training needs PyTorch, which is not installed", "pip install 'edge-runtime[convert,train]'")
    # A thread that waits must not spin: beside other work it takes the very core that it waits for.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
