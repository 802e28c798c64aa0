"""A device that takes in tiny releases without an engine, and sticks as folders, images and mounted things."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bundle_parts import PAYLOADS, make_draft
from release_device import FAST_BUNDLE, draft_of
from station_parts import NOW_S, Bench, make_bench

from edge_convert.release.mirror import serve
from edge_convert.release.releasing import release
from edge_convert.release.stick import write_stick
from edge_runtime.app.mounts import StickError
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.install import DeviceTerms, Installer, Proof
from edge_runtime.bundles.store import ReleaseStore
from edge_runtime.bundles.store_open import open_store
from edge_runtime.ops.clock import SimulatedClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.domain.model_bundle import ModelBundle


@dataclass
class Verdicts:
    """A prover that says what the test wants."""

    passes: bool = True
    asked: int = 0

    def require_fit(self, manifest: ModelBundle) -> None:
        """Anything fits."""

    def prove(self, bundle: Path, digest: str) -> Proof:
        """As the test says."""
        self.asked += 1
        return Proof(self.passes, "2 golden images" if self.passes else "golden/01-good.png: 0.9 instead of 0.7")


@dataclass
class TinyDevice:
    """A device with a store, and the station that it trusts."""

    folder: Path
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(start_wall_ns=(NOW_S + 60) * 10**9))
    prover: Verdicts = field(default_factory=Verdicts)

    def __post_init__(self) -> None:
        """Make both."""
        (self.folder / "station").mkdir(parents=True)
        self.bench: Bench = make_bench(self.folder / "station", targets="1/1")
        (self.folder / "state").mkdir()
        store = open_store(self.folder / "state" / "updates", self.clock)
        assert isinstance(store, ReleaseStore)
        self.store = store
        device = DeviceTerms(hardware="x86_64", floor_s=NOW_S, reserve_bytes=0, arm=True)
        self.installer = Installer(self.store, device, self.prover, self.clock)
        self.installer.provision(self.bench.root)

    def release(self, version: str, product: str = "part", **terms: object) -> str:
        """Sign a release whose payload differs from every other's; its digest."""
        payloads = {**PAYLOADS, "features.onnx": f"{product} {version} ".encode() * 9_000}
        draft = make_draft(version=version, name=product)
        return self.bench.release(product, draft=draft, payloads=payloads, **terms).digest  # type: ignore[arg-type]

    def stick(self, name: str, *products: str, part_bytes: int = 4_000_000_000) -> Path:
        """A stick, written by the station, as a folder."""
        place = self.folder / name
        place.mkdir()
        write_stick(self.bench.station, place, products, part_bytes=part_bytes)
        return place

    def web(self) -> Path:
        """The folder for a web server, brought up to date."""
        serve(self.bench.station, self.folder / "www")
        return self.folder / "www"


def require_loop_mounts() -> None:
    """Skip, saying so, where images cannot be mounted."""
    missing = [name for name in ("mount", "losetup", "mkfs.ext4") if shutil.which(name, path=_SBIN) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    if os.geteuid() != 0:
        pytest.skip("mounting an image needs root")


def require_fusefat() -> None:
    """Skip, saying so, where a FAT image cannot be mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting an image needs root")
    missing = [name for name in ("fusefat", "mkfs.vfat", "mcopy") if shutil.which(name, path=_SBIN) is None]
    if missing or not Path("/dev/fuse").exists():
        pytest.skip(f"{', '.join(missing) or '/dev/fuse'} not there (apt install fusefat dosfstools mtools)")


_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def run(*command: str) -> str:
    """A system's program, which has to succeed."""
    env = {**os.environ, "PATH": _SBIN, "MTOOLS_SKIP_CHECK": "1"}  # fusefat drops a byte that mtools misses
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=env).stdout


def ext4_image(content: Path, image: Path, megabytes: int = 16) -> Path:
    """A stick with ext4 that holds `content`."""
    with image.open("wb") as file:
        file.truncate(megabytes * 1_000_000)
    run("mkfs.ext4", "-q", "-d", str(content), str(image))
    return image


def fat_image(content: Path, image: Path, megabytes: int = 16) -> Path:
    """A stick with FAT that holds `content`."""
    run("mkfs.vfat", "-C", str(image), str(megabytes * 1_000))
    run("mcopy", "-s", "-i", str(image), *(str(path) for path in content.iterdir()), "::")
    return image


@contextlib.contextmanager
def attached(image: Path) -> Iterator[Path]:
    """The image as a block device."""
    device = run("losetup", "--find", "--show", str(image)).strip()
    try:
        yield Path(device)
    finally:
        run("losetup", "--detach", device)


class FuseFat:
    """A `Mounter` for FAT images where the kernel knows no FAT; counts what it did."""

    def __init__(self) -> None:
        self.mounts: list[str] = []

    def mount(self, device: Path, folder: Path, *, writable: bool) -> None:
        """See `Mounter`."""
        options = "rw+" if writable else "ro"
        self.mounts.append(options)
        try:
            run("fusefat", "-o", f"{options},nosuid,nodev,noexec", str(device), str(folder))
        except subprocess.CalledProcessError as error:
            raise StickError(f"fusefat: {error.stderr}", "look at it") from error

    def unmount(self, folder: Path) -> None:
        """See `Mounter`."""
        run("umount", str(folder))


class FolderMounter:
    """A `Mounter` that shows a folder through a symbolic link's place; for tests without root."""

    def __init__(self, content: Path | None) -> None:
        self.content = content
        self.mounts: list[bool] = []

    def mount(self, device: Path, folder: Path, *, writable: bool) -> None:
        """See `Mounter`."""
        self.mounts.append(writable)
        if self.content is None:
            raise StickError(f"the stick {device} cannot be read", "format it")
        shutil.copytree(self.content, folder, dirs_exist_ok=True, symlinks=True)

    def unmount(self, folder: Path) -> None:
        """See `Mounter`. Only what a writable stick was given stays on it."""
        if self.mounts[-1] and self.content is not None:
            shutil.copytree(folder, self.content, dirs_exist_ok=True, symlinks=True)
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def sign(bench: Bench, version: str, product: str = "part", hardware: tuple[str, ...] = ()) -> str:
    """Release a model that this machine can really run, as `version`; its digest."""
    source = bench.folder / "model.bundle"
    with open_bundle(FAST_BUNDLE, trust="development") as opened:
        draft_of(opened.manifest, version, opened, source)
    with open_bundle(source, trust="development") as opened:
        return release(bench.station, opened, product=product, hardware=hardware).digest


class SignedLine:
    """A line whose device trusts a station, set up by the product's own commands."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        (folder / "bench").mkdir()
        self.bench = make_bench(folder / "bench", targets="1/1")
        self.config = folder / "line.toml"
        self.config.write_text(
            f"""
            device = {{ name = "line-3", state_dir = "{self.state_dir}" }}
            bundle = {{ product = "part", trust = "production" }}
            engine = {{ name = "onnxruntime", threads = 1 }}
            {more}
            """,
            encoding="utf-8",
        )
        root = folder / "root.json"
        root.write_bytes(self.bench.root)
        self.command("bundle", "trust", str(root))

    def command(self, *words: str) -> str:
        """One of `edge-runtime`, which has to succeed; what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "edge_runtime", *words],
            env={**os.environ, "EDGE_RUNTIME_CONFIG": str(self.config)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stick(self, name: str, *, part_bytes: int = 4_000_000_000, bench: Bench | None = None) -> Path:
        """What the station, or another one, writes on a stick."""
        place = self.folder / name
        place.mkdir()
        write_stick((bench or self.bench).station, place, part_bytes=part_bytes)
        return place
