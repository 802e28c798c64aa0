from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from bundle_parts import write_sample
from station_parts import PASSPHRASE, make_bench
from typer.testing import CliRunner

from edge_convert.cli import app
from edge_runtime.bundles.slice import open_release_file
from edge_runtime.bundles.trust import verify_release
from edge_runtime.bundles.trust_folder import provision_trust

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a station whose keys are cheap to open, its passphrase in `words`, and an unsigned bundle."""
    make_bench(tmp_path, now_s=int(time.time()) - 10)
    (tmp_path / "words").write_text(f"{PASSPHRASE}\nanother passphrase\n")
    write_sample(tmp_path / "part.bundle")
    return tmp_path


def run(place: Path, command: str, *, code: int = 0, typed: str | None = None) -> str:
    """What a command of the station says; `{}` in it is the folder."""
    arguments = command.replace("{}", str(place)).split()
    done = CliRunner().invoke(app, [*arguments, "--station", f"{place}/station"], input=typed)
    assert done.exit_code == code, done.output
    return done.output


def test_a_station_is_begun_by_hand(tmp_path: Path) -> None:
    """Passphrases are typed twice and never shown; Enter takes the one before; the root's digest is named."""
    typed = ["short", PASSPHRASE, "another one", PASSPHRASE, PASSPHRASE, *[""] * 3]
    said = run(tmp_path, "keys init --root 1/1 --targets 1/1", typed="\n".join(typed) + "\n")
    assert "That has 5 characters." in said
    assert "The two differ." in said
    assert PASSPHRASE not in said
    trust = provision_trust((tmp_path / "station" / "root.json").read_bytes(), tmp_path / "trust")
    assert trust.root_digest in said


def test_from_a_bundle_to_a_device(place: Path) -> None:
    """release, renew, releases, stick, serve: the device takes what they leave."""
    words = "--passphrase-file {}/words"
    said = run(place, "release {}/part.bundle --no-self-test --hardware x86_64 --out {}/r.bundle " + words)
    assert "part: release 2 is part 1.0, revision 0" in said
    assert "for x86_64; releases below 0 are revoked" in said
    assert "signed afresh" in run(place, f"renew {words}")
    assert "releases below 2 are revoked" in run(place, f"revoke part --below 2 {words}")
    assert "in force" in run(place, "releases")
    assert "read back and verified" in run(place, "stick {}")
    assert "3 new payloads" in run(place, "serve {}/www")
    provision_trust((place / "station" / "root.json").read_bytes(), place / "trust-0")
    for turn, path in enumerate((place / "r.bundle", place / "edge-updates" / "part-4.bundle")):
        with open_release_file(path) as source:
            after = place / f"trust-{turn + 1}"
            assert verify_release(source, place / f"trust-{turn}", after, now_s=time.time(), floor_s=0)


def test_keys_are_listed_and_rotated(place: Path) -> None:
    """Who may sign what is there to read, before and after."""
    assert "targets: 2 of 3 must sign" in run(place, "keys show")
    (place / "words").write_text(f"{PASSPHRASE}\n")
    said = run(place, "rotate-root --replace timestamp-1 --passphrase-file {}/words")
    assert "timestamp-1 is replaced by timestamp-2" in said
    listed = run(place, "keys show")
    assert "timestamp-2" in listed
    assert "timestamp-1" not in listed
    assert "root version 2" in listed


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("release {}/part.bundle --no-self-test --passphrase-file {}/no-words", "cannot be read"),
        ("renew --passphrase-file {}/wrong", "no passphrase opens"),
        ("release {}/absent.bundle --no-self-test", "cannot be opened"),
        ("revoke lid --below 3", "has no release"),
        ("keys init", "is a release station already"),
        ("renew --key {}/words", "not a key of a release station"),
        ("stick {}/words", "nothing was released yet"),
        ("keys init --root 3/2", "impossible"),
    ],
)
def test_errors_end_with_what_to_do(place: Path, command: str, what: str) -> None:
    """Exit code 2 and an instruction, never a trace."""
    (place / "wrong").write_text("not the passphrase\n")
    said = run(place, command, code=2)
    assert what in said
    assert "→" in said
