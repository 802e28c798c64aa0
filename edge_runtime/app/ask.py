"""Asking a running daemon on this machine."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from edge_runtime.config.line import OpsSettings
from edge_runtime.domain.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge_runtime.config.line import LineConfig

_PATIENCE_S = 5.0


def port_of(config: LineConfig | None) -> int:
    """Where the local pages of the daemon with this configuration are; the usual port where there is none.

    Raises:
        ConfigError: they are off, or on any free port.
    """
    port = OpsSettings().metrics_port if config is None else config.ops.metrics_port
    if not port:
        raise ConfigError(
            "this daemon's local pages are off, or on any free port", "Set a fixed metrics_port in [ops]."
        )
    return port


def ask_health(port: int) -> dict[str, Any]:
    """What `/health` answers on 127.0.0.1.

    Raises:
        EdgeError: no daemon answers there.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/health")
        found = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EdgeError(
            f"no daemon answers on 127.0.0.1:{port} ({error})",
            "Look whether it runs: systemctl status edge-runtime, journalctl -u edge-runtime.",
        ) from error
    finally:
        connection.close()
    if not isinstance(found, dict) or "reasons" not in found:
        raise EdgeError(f"what answers on 127.0.0.1:{port} is not this daemon", "Compare ops.metrics_port.")
    return found
