from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from station_parts import CHEAP, NOW_S, PASSPHRASE, Bench, make_bench

from edge_convert.release.files import only_one
from edge_convert.release.key_file import look_at_key, unseal, write_key
from edge_convert.release.keyring import KeyRing
from edge_convert.release.rotation import renew, rotate_root
from edge_convert.release.start import Quorum, make_station
from edge_convert.release.station import Station
from edge_convert.release.stick import write_stick
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_sealed_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    """The file is its owner's alone, says openly which key it is, and holds no private byte in the clear."""
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "targets-1.key"
    public = write_key(path, "targets-1", key, PASSPHRASE, cost=CHEAP).public_key
    assert path.stat().st_mode & 0o777 == 0o600
    assert (look_at_key(path).name, look_at_key(path).keyid) == ("targets-1", public.keyid)
    assert unseal(path, PASSPHRASE + "!") is None
    signer = unseal(path, PASSPHRASE)
    assert signer is not None
    assert signer.public_key.keyid == public.keyid
    assert key.private_bytes_raw() not in path.read_bytes()


@pytest.mark.parametrize("field", ["name", "keyid", "sealed", "nonce", "salt"])
def test_an_altered_key_file_does_not_open(tmp_path: Path, field: str) -> None:
    """A key cannot be passed off as another one: what stands openly beside it is sealed with it."""
    path = tmp_path / "targets-1.key"
    write_key(path, "targets-1", Ed25519PrivateKey.generate(), PASSPHRASE, cost=CHEAP)
    content = json.loads(path.read_text())
    content[field] = {"name": "root-1", "keyid": "0" * 64}.get(field, "AAAA" + content[field][4:])
    path.write_text(json.dumps(content))
    assert unseal(path, PASSPHRASE) is None


def test_a_short_passphrase_seals_nothing(tmp_path: Path) -> None:
    """It is refused before the file exists."""
    with pytest.raises(ConfigError, match="has 5 characters"):
        write_key(tmp_path / "x.key", "root-1", Ed25519PrivateKey.generate(), "short", cost=CHEAP)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_key_is_named(tmp_path: Path) -> None:
    """A wrong file for --key."""
    (tmp_path / "x.key").write_text("-----BEGIN PRIVATE KEY-----")
    with pytest.raises(ConfigError, match="not a key of a release station"):
        KeyRing([tmp_path], [], None)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    """Whoever signs reads which key holders have to come."""
    bench = make_bench(tmp_path)
    for number in (1, 3):
        (tmp_path / "station" / "keys" / f"targets-{number}.key").unlink()
    with pytest.raises(ConfigError, match="2 of the 3 targets keys must sign, 1 are here") as error:
        bench.release()
    assert "targets-1, targets-3" in error.value.action


def test_a_person_is_asked_until_the_passphrase_is_right(tmp_path: Path) -> None:
    """A passphrase that opened one key is tried on the next one before anybody is asked again."""
    make_bench(tmp_path)
    keys = tmp_path / "station" / "keys"
    answers = iter(["wrong wrong wrong", PASSPHRASE])
    asked: list[str] = []

    def ask(text: str) -> str:
        asked.append(text)
        return next(answers)

    ring = KeyRing([keys], [], ask)
    root = Bench(tmp_path).station.repository.read().root
    assert len(ring.signers(root, "targets")) == 2
    assert len(asked) == 2
    assert "targets-1" in asked[0]


def test_three_wrong_passphrases_sign_nothing(tmp_path: Path) -> None:
    """The command ends; the repository is what it was."""
    bench = make_bench(tmp_path)
    ring = KeyRing([tmp_path / "station" / "keys"], [], lambda _: "wrong wrong wrong")
    with pytest.raises(ConfigError, match="no passphrase opens"):
        ring.signers(bench.station.repository.read().root, "snapshot")


def test_a_station_is_made_once(tmp_path: Path) -> None:
    """Keys that devices trust are never written over."""
    bench = make_bench(tmp_path)
    before = bench.root
    with pytest.raises(ConfigError, match="is a release station already"):
        make_station(bench.station, Quorum(1, 1), Quorum(1, 1), lambda _: PASSPHRASE, cost=CHEAP)
    assert bench.root == before


@pytest.mark.parametrize("text", ["2", "3/2", "0/1", "a/b", "2/21", "²/3", "2/3/4", "-1/2"])
def test_an_impossible_quorum_is_refused(text: str) -> None:
    """Nothing that no one could ever sign with, or anyone could."""
    with pytest.raises(ConfigError):
        Quorum.parse(text)


def test_a_key_number_is_never_used_twice(tmp_path: Path) -> None:
    """After two rotations of the same key there is no doubt which file is meant."""
    bench = make_bench(tmp_path)
    for old, new in (("targets-2", "targets-4"), ("targets-4", "targets-5")):
        done = rotate_root(bench.station, [old], lambda _: PASSPHRASE, cost=CHEAP)
        assert done.replaced == ((old, new),)
    with pytest.raises(ConfigError, match="no key 'targets-2'"):
        rotate_root(bench.station, ["targets-2"], lambda _: PASSPHRASE, cost=CHEAP)


def test_lost_keys_are_replaced_without_them(tmp_path: Path) -> None:
    """Two of three targets keys are gone: the root's quorum alone mends that."""
    bench = make_bench(tmp_path)
    for name in ("targets-1", "targets-2"):
        (tmp_path / "station" / "keys" / f"{name}.key").unlink()
    rotate_root(bench.station, ["targets-1", "targets-2"], lambda _: PASSPHRASE, cost=CHEAP)
    assert bench.release().terms.counter == 3


def test_a_clock_that_went_back_signs_nothing(tmp_path: Path) -> None:
    """Devices would take what was signed for older than what they have seen."""
    bench = make_bench(tmp_path)
    bench.now_s = NOW_S - 10
    with pytest.raises(ConfigError, match="the last signature was made"):
        bench.release()


def test_two_people_do_not_sign_at_once(tmp_path: Path) -> None:
    """Whoever comes second is told so."""
    with only_one(tmp_path), pytest.raises(ConfigError, match="somebody else"), only_one(tmp_path):
        pass
    with pytest.raises(ConfigError, match="no release station"), only_one(tmp_path / "absent"):
        pass


def test_no_station_says_how_to_begin(tmp_path: Path) -> None:
    """An empty folder is no station."""
    with pytest.raises(ConfigError, match="no release station") as error:
        Station(tmp_path, KeyRing([], [], None), NOW_S).repository.read()
    assert "keys init" in error.value.action


def test_a_rotation_that_came_to_nothing_is_no_obstacle(tmp_path: Path) -> None:
    """A key that a rotation left behind when it was cut off is not written over; the next one has another number."""
    bench = make_bench(tmp_path)
    keys = tmp_path / "station" / "keys"
    write_key(keys / "timestamp-2.key", "timestamp-2", Ed25519PrivateKey.generate(), PASSPHRASE, cost=CHEAP)
    done = rotate_root(bench.station, ["timestamp-1"], lambda _: PASSPHRASE, cost=CHEAP)
    assert done.replaced == (("timestamp-1", "timestamp-3"),)


def test_without_a_root_quorum_no_key_is_made(tmp_path: Path) -> None:
    """It is said first."""
    bench = make_bench(tmp_path)
    for number in (1, 2):
        (tmp_path / "station" / "keys" / f"root-{number}.key").unlink()
    before = sorted((tmp_path / "station" / "keys").iterdir())
    with pytest.raises(ConfigError, match="2 of the 3 root keys must sign"):
        rotate_root(bench.station, ["timestamp-1"], lambda _: PASSPHRASE, cost=CHEAP)
    assert sorted((tmp_path / "station" / "keys").iterdir()) == before


def test_a_rotation_cut_off_before_its_last_file_is_finished_by_renewing(tmp_path: Path) -> None:
    """Between the new root and timestamp.json: no stick is written, `renew` is named, and mends it."""
    bench = make_bench(tmp_path)
    bench.release()
    place = tmp_path / "station" / "repository" / "metadata" / "timestamp.json"
    before = place.read_bytes()
    rotate_root(bench.station, ["timestamp-1"], lambda _: PASSPHRASE, cost=CHEAP)
    place.write_bytes(before)
    with pytest.raises(ConfigError, match="was cut off") as error:
        write_stick(bench.station, tmp_path)
    assert "edge-convert renew" in error.value.action
    renew(bench.station)
    assert write_stick(bench.station, tmp_path)
