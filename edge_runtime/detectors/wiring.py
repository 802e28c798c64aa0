"""Connecting a manifest to graphs: everything that can be wrong is found at loading, not at the first part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.domain.errors import BundleError, ImageError

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine, Graph

_CONVERT_AGAIN = "convert the bundle again"


def load_graph(bundle: ModelBundle, role: str, payloads: PayloadReader, engine: Engine) -> Graph:
    """Load the graph of a role.

    Raises:
        BundleError: no such role or payload.
        EngineError: the engine cannot load it.
    """
    name = bundle.graphs.get(role)
    if name is None:
        roles = ", ".join(sorted(bundle.graphs)) or "none"
        raise BundleError(f"bundle {bundle.identity.name} has no graph {role!r} (it has: {roles})", _CONVERT_AGAIN)
    return engine.load(payloads.read(name))


def require_input(bundle: ModelBundle, graph: Graph) -> str:
    """Name of the one input that takes the prepared image.

    Raises:
        BundleError: the manifest names another input, or the graph wants more than one.
    """
    name = bundle.input_spec.tensor
    names = [info.name for info in graph.inputs]
    if names != [name]:
        raise BundleError(
            f"bundle {bundle.identity.name} feeds {name!r}, its graph has the inputs {names}", _CONVERT_AGAIN
        )
    return name


def require_output(bundle: ModelBundle, role: str, graph: Graph) -> str:
    """Name of the graph output that plays a role.

    Raises:
        BundleError: the manifest names none, or one that the graph lacks.
    """
    name = bundle.outputs.get(role)
    if name is None:
        raise BundleError(f"bundle {bundle.identity.name} names no output for {role!r}", _CONVERT_AGAIN)
    names = [info.name for info in graph.outputs]
    if name not in names:
        raise BundleError(
            f"bundle {bundle.identity.name} takes {role!r} from output {name!r}, its graph has {names}", _CONVERT_AGAIN
        )
    return name


def whole_parameter(bundle: ModelBundle, name: str, default: int | None = None) -> int:
    """A positive whole number from the manifest.

    Raises:
        BundleError: missing without a default, or not a positive whole number.
    """
    value = bundle.parameters.get(name, default)
    if value is None:
        raise BundleError(f"bundle {bundle.identity.name} lacks the parameter {name!r}", _CONVERT_AGAIN)
    if value < 1 or value != int(value):
        raise BundleError(f"bundle {bundle.identity.name}: {name} = {value} is no positive number", _CONVERT_AGAIN)
    return int(value)


def require_exposures(bundle: ModelBundle, exposures: tuple[Exposure, ...]) -> None:
    """Refuse a part with another number of exposures than the bundle was taught with (`exposures`, default 1).

    Raises:
        ImageError: the number differs.
    """
    expected = whole_parameter(bundle, "exposures", 1)
    if len(exposures) != expected:
        raise ImageError(
            f"the part has {len(exposures)} exposure(s), bundle {bundle.identity.name} takes {expected}",
            "set the camera to that number of exposures, or teach a bundle with the present ones",
        )
