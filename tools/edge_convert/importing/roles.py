"""Which output of a graph is the anomaly map, which the score, which the reconstruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_convert.importing.graph import OutputInfo

ROLES: Final = {"map": "anomaly_map", "score": "score", "reconstruction": "reconstruction"}
"""As a person writes them → as a bundle does."""

_NAMES: Final = {
    "anomaly_map": "anomaly_map",
    "anomaly_maps": "anomaly_map",
    "pred_score": "score",
    "pred_scores": "score",
    "anomaly_score": "score",
}
_LABELS: Final = frozenset({"pred_label", "pred_mask", "pred_labels", "pred_masks"})
_MAP_RANK: Final = 2
_PICTURE_RANK: Final = 4


def choose_roles(outputs: Sequence[OutputInfo], named: Mapping[str, str]) -> dict[str, str]:
    """Role → output name.

    What a person names goes first, then the names that anomalib gives, then shapes: one number is a score, one
    plane is a map. Labels, masks and other truth values are neither.

    Args:
        outputs: as they come out of the graph for one image.
        named: `map`, `score` or `reconstruction` → output name, as a person states them.

    Raises:
        ConfigError: a named output is not there, or has another shape; or neither map nor score can be told.
    """
    roles = {ROLES[role]: _named(outputs, role, name) for role, name in named.items()}
    if roles:
        return roles
    for output in outputs:
        if role := _NAMES.get(output.name):
            roles.setdefault(role, output.name)
    if roles:
        return roles
    candidates = [output for output in outputs if output.dtype.startswith("float") and output.name not in _LABELS]
    maps = [output.name for output in candidates if is_plane(output.shape)]
    scores = [output.name for output in candidates if is_number(output.shape)]
    if len(maps) > 1 or len(scores) > 1 or not (maps or scores):
        raise ConfigError(
            f"it cannot be told which output is the anomaly map and which the score: {_listed(outputs)}",
            "Name them: --output map=NAME --output score=NAME (or --output reconstruction=NAME).",
        )
    if maps:
        roles["anomaly_map"] = maps[0]
    if scores:
        roles["score"] = scores[0]
    return roles


def without_score(roles: Mapping[str, str]) -> dict[str, str]:
    """The roles that a mask can narrow: the map, or the reconstruction.

    Raises:
        ConfigError: there is neither.
    """
    kept = {role: name for role, name in roles.items() if role != "score"}
    if not kept:
        raise ConfigError(
            "--mask: the model gives one score for the whole picture, which no mask can narrow",
            "Leave --mask out, give --region instead, or export the model with its anomaly map.",
        )
    return kept


def scored(roles: Mapping[str, str], *, masked: bool) -> str | None:
    """The output whose value becomes the score as it is; None where a detector computes the score."""
    if "reconstruction" in roles:
        return None
    return roles.get("score", roles.get("anomaly_map") if masked else None)


def is_plane(shape: Sequence[int]) -> bool:
    """One map: height × width with nothing but ones before."""
    return len(shape) >= _MAP_RANK and min(shape[-2:]) > 1 and all(side == 1 for side in shape[:-2])


def is_number(shape: Sequence[int]) -> bool:
    """One score."""
    return all(side == 1 for side in shape)


def is_picture(shape: Sequence[int]) -> bool:
    """A batch of one, with height, width and channels."""
    return len(shape) == _PICTURE_RANK and shape[0] == 1


def _named(outputs: Sequence[OutputInfo], role: str, name: str) -> str:
    found = next((output for output in outputs if output.name == name), None)
    if found is None:
        raise ConfigError(f"the graph has no output {name!r}", f"Choose from: {_listed(outputs)}.")
    fits = {"map": is_plane, "score": is_number, "reconstruction": is_picture}[role]
    if not fits(found.shape):
        raise ConfigError(
            f"output {name!r} has the shape {list(found.shape)}, which is no {role}",
            "A map has one height and width, a score is one number, a reconstruction is as large as the input; reduce "
            "it in the graph and export again.",
        )
    return name


def _listed(outputs: Sequence[OutputInfo]) -> str:
    return ", ".join(f"{output.name} {output.dtype}{list(output.shape)}" for output in outputs) or "none"
