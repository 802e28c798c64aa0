"""`edge-runtime bundle`, as a technician uses it, with real releases of the demonstration's model."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from station_parts import CHEAP, PASSPHRASE, Bench
from typer.testing import CliRunner

from edge_convert.release.releasing import release
from edge_convert.release.start import Quorum, make_station
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.cli.bundle import bundle_app
from edge_runtime.domain.errors import ConfigError, EdgeError, Refusal, TrustError, UpdateError

if TYPE_CHECKING:
    from click.testing import Result

MODELS = Path(__file__).resolve().parents[3] / "models"


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """root.json and two sticks of the demonstration's model, signed today."""
    bench = Bench(tmp_path_factory.mktemp("station"), int(time.time()))
    make_station(bench.station, Quorum(2, 3), Quorum.parse("2/3"), lambda _: PASSPHRASE, cost=CHEAP)
    (bench.folder / "root.json").write_bytes(bench.root)
    for number, name in enumerate(("demo.bundle", "demo_fast.bundle"), 1):
        with open_bundle(MODELS / name, trust="development") as bundle:
            release(bench.station, bundle, product="demo", hardware=(), min_counter=None)
        bench.export("demo", f"demo-{number}.bundle")
    return bench.folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A line with a product, on one thread."""
    path = tmp_path / "line.toml"
    path.write_text(
        'device={name="line",state_dir="state"}\ncamera={kind="sim"}\nengine={name="onnxruntime",threads=1}\n'
        'updates={disk_reserve_mb=1}\n[bundle]\nproduct="demo"\ntrust="production"\n'
    )
    return path


def run(config: Path, *arguments: str | Path) -> Result:
    """A command that works."""
    result = CliRunner().invoke(bundle_app, [*map(str, arguments), "--config", str(config)])
    assert result.exit_code == 0, result.exception
    return result


def fails(config: Path, *arguments: str | Path) -> EdgeError:
    """A command that is refused."""
    result = CliRunner().invoke(bundle_app, [*map(str, arguments), "--config", str(config)])
    assert isinstance(result.exception, EdgeError), result.exception
    return result.exception


def test_a_new_device_says_what_it_lacks(config: Path, station: Path) -> None:
    """No root key, no release; and what is no root key is not taken."""
    said = run(config, "list").stdout
    assert "no release is on this device" in said
    assert "no release station yet" in said
    assert "bundle trust ROOT.json" in fails(config, "install", station / "demo-1.bundle").action
    assert isinstance(fails(config, "trust", station / "demo-1.bundle"), ConfigError)
    assert isinstance(fails(config, "trust", station / "nothing"), ConfigError)


def test_from_the_stick_to_the_line_and_back(config: Path, station: Path) -> None:
    """Trust, verify, install, look, activate, pin, roll back: each says what it did and what comes next."""
    assert "SHA-256" in run(config, "trust", station / "root.json").stdout
    assert "already trusts" in fails(config, "trust", station / "root.json").what
    verified = run(config, "verify", station / "demo-2.bundle").stdout
    assert "for product demo, release 3\nsigned and whole" in verified
    assert "no release is on this device" in run(config, "list").stdout

    said = run(config, "install", station / "demo-2.bundle").stdout
    states = [line.split()[0] for line in said.splitlines()[:6]]
    assert states == ["idle", "copying", "verified", "staged", "selftest", "armed"]
    assert "the line takes it up next" in said
    assert "already" in run(config, "verify", station / "demo-2.bundle").stdout
    older = fails(config, "install", station / "demo-1.bundle")
    assert isinstance(older, TrustError)
    assert older.refusal is Refusal.OLDER
    assert "bundle rollback" in older.action

    (found,) = json.loads(run(config, "list", "--json").stdout)
    assert (found["product"], found["counter"], found["state"], found["active"]) == ("demo", 3, "armed", False)
    listed = run(config, "list").stdout
    assert "accepts its releases until" in listed
    assert "*" not in listed, "a sign that stands at no release needs no explanation"
    digest = found["digest"][:8]
    assert "installed" in run(config, "show", digest).stdout
    assert json.loads(run(config, "show", digest, "--json").stdout)["history"][0]["kind"] == "installed"
    assert "pinned" in run(config, "pin", digest, "--why", "audit").stdout
    assert "pinned" not in run(config, "pin", digest, "--off").stdout
    assert "asked for by" in run(config, "activate", digest, "--why", "again").stdout
    assert isinstance(fails(config, "rollback"), UpdateError)
    history = run(config, "history").stdout
    assert [line.split()[2] for line in history.splitlines()] == [
        *("trust", "installed", "refused", "pinned", "unpinned", "requested")
    ]


def test_a_rollback_wants_a_product(config: Path, tmp_path: Path) -> None:
    """From the command or from the configuration."""
    other = tmp_path / "other.toml"
    text = config.read_text().replace('product="demo"\ntrust="production"', 'path="demo.bundle"')
    other.write_text(text)
    assert "names no product" in fails(other, "rollback").what
    assert "no earlier release of product demo" in fails(other, "rollback", "demo").what


def test_without_its_database_the_device_says_so(config: Path, station: Path) -> None:
    """Nothing is accepted, and how to mend it is said."""
    run(config, "trust", station / "root.json")
    (config.parent / "state" / "updates" / "updates.sqlite").unlink()
    assert "DAMAGED" in run(config, "list").stdout
    error = fails(config, "install", station / "demo-2.bundle")
    assert "updates are refused" in error.what
    assert "bundle trust" in error.action
    assert "lost" in run(config, "history").stdout


def test_damaged_trust_is_shown(config: Path, station: Path) -> None:
    """In the list, where a technician looks first."""
    run(config, "trust", station / "root.json")
    shutil.rmtree(config.parent / "state" / "updates" / "trust" / "0")
    assert "DAMAGED, no release is accepted" in run(config, "list").stdout
