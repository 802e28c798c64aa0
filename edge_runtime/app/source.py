"""A camera on its own, for aiming, focusing and taking pictures: no ledger, no gate, nothing moved or deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime import camera as cameras
from edge_runtime.app.belt import belt_plan
from edge_runtime.config.camera import (
    AfterInspection,
    FolderCameraSettings,
    OpenCvCameraSettings,
    SimulatedCameraSettings,
    SimulationSettings,
)
from edge_runtime.config.load import load_config
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from edge_runtime.camera.port import Camera
    from edge_runtime.config.camera import CameraSettings
    from edge_runtime.domain.frame import FileIdentity
    from edge_runtime.ops.clock import Clock


@dataclass(frozen=True, slots=True)
class Source:
    """A camera as the technician named it."""

    camera: CameraSettings
    simulation: SimulationSettings = field(default_factory=SimulationSettings)


class _NothingSeen:
    """Without a ledger no file has been inspected."""

    def is_seen(self, file: FileIdentity) -> bool:  # noqa: ARG002  (the protocol's)
        return False


def parse_source(text: str) -> Source:
    """What `--camera` means: `sim`, an index or device, a URL, a folder, a video file, or a configuration's camera.

    Raises:
        ConfigError: the configuration file is unusable, or there is no such file, device or folder.
    """
    path = Path(text)
    if text == "sim":
        return Source(SimulatedCameraSettings(kind="sim"))
    if text.isdigit():
        return Source(OpenCvCameraSettings(kind="opencv", source=int(text)))
    if "://" in text or text.startswith("/dev/"):
        return Source(OpenCvCameraSettings(kind="opencv", source=text))
    if path.suffix == ".toml":
        config = load_config(path)
        return Source(config.camera, config.simulation)
    if path.is_dir():
        return Source(FolderCameraSettings(kind="folder", path=path.resolve()))
    if not path.exists():
        raise ConfigError(
            f"--camera {text}: there is no such file, device or folder",
            "Name line.toml, sim, a folder, an index (0), a URL or a video file; `edge-runtime doctor` lists cameras.",
        )
    return Source(OpenCvCameraSettings(kind="opencv", source=str(path.resolve()), every_frame=True))


def refuse_feedback(source: Source, out: Path) -> None:
    """Saved frames must not come back as new ones.

    Raises:
        ConfigError: `out` is the watched folder or inside it.
    """
    if not isinstance(source.camera, FolderCameraSettings):
        return
    watched, target = source.camera.path.resolve(), out.resolve()
    if target == watched or watched in target.parents:
        raise ConfigError(f"{out} lies in the watched folder {watched}", "Name a folder outside with --out.")


def open_source(source: Source, clock: Clock) -> Camera:
    """The opened camera. Watched files stay where they are; the simulated belt carries good parts only.

    Raises:
        CameraError: it can never work as configured.
    """
    settings = source.camera
    if isinstance(settings, FolderCameraSettings):
        settings = settings.model_copy(update={"after": AfterInspection.KEEP})
    simulation = source.simulation.model_copy(update={"defect_rate": 0.0, "parts": None})
    camera = cameras.create(settings, clock, _NothingSeen(), belt_plan(simulation, clock))
    camera.open()
    return camera
