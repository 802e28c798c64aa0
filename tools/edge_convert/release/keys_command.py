"""`edge-convert keys` and `rotate-root`: who may sign."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Annotated

import typer

from edge_convert.release.desk import (
    DEFAULT_DAYS,
    DEFAULT_STATION,
    KeyPlaces,
    PassphraseFile,
    StationFolder,
    ValidDays,
    at_the_desk,
    passphrase_maker,
    say,
)
from edge_convert.release.keyring import name_of
from edge_convert.release.rotation import renew, rotate_root
from edge_convert.release.signing import ROLES, Validity
from edge_convert.release.start import Quorum, make_station
from edge_convert.release.station import KEYS, ROOT

if TYPE_CHECKING:
    from edge_convert.release.station import Station

RootDays = Annotated[int, typer.Option(min=1, max=7300, help="Days for which the root is valid.")]


def register(app: typer.Typer) -> None:
    """Add the group `keys` and the commands `rotate-root` and `renew`."""
    keys = typer.Typer(help="Keys of the release station.", no_args_is_help=True)
    keys.command(name="init", help="Make a release station: its keys and the root that devices trust.")(_init)
    keys.command(name="show", help="Which keys may sign what, which are at hand, and what expires when.")(_show)
    app.add_typer(keys, name="keys")
    app.command(name="rotate-root", help="Sign a new root: keys that were lost or stolen are replaced.")(_rotate)
    app.command(name="renew", help="Sign what is in force for longer; releases stay what they are.")(_renew)


def _init(
    station: StationFolder = DEFAULT_STATION,
    root: Annotated[str, typer.Option(help="Root keys: how many must sign / how many there are.")] = "2/3",
    targets: Annotated[str, typer.Option(help="Keys for releases, likewise. 1/1 lets one stolen key release.")] = "2/3",
    passphrase_file: PassphraseFile = None,
    root_days: RootDays = 3650,
    days: ValidDays = DEFAULT_DAYS,
) -> None:
    existed = station.exists()
    try:
        station.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        say(f"error: {station} cannot be made: {error.strerror}")
        raise typer.Exit(2) from error
    if not existed:
        say(f"A new release station in {station}.")
    with at_the_desk(station, None, passphrase_file, Validity(root_days, days)) as desk:
        names = make_station(desk, Quorum.parse(root), Quorum.parse(targets), passphrase_maker(passphrase_file))
        say(
            f"keys in {station / KEYS}: {', '.join(names)}",
            f"root.json for the devices: {station / ROOT}",
            f"  SHA-256 {_digest(desk)}",
            "Now carry the root and targets keys to different places: one key holder, one stick. What is left here "
            "should be snapshot-1 and timestamp-1. Keep a second copy of every key: without its quorum a root cannot "
            "be replaced.",
        )


def _show(station: StationFolder = DEFAULT_STATION, key: KeyPlaces = None) -> None:
    with at_the_desk(station, key, None) as desk:
        now = desk.repository.read()
        here = {file.keyid: file.path for file in desk.ring.files}
        for role in ROLES:
            one = now.root.roles[role]
            say(f"{role}: {one.threshold} of {len(one.keyids)} must sign, valid until {_until(desk, role)}")
            for keyid in sorted(one.keyids, key=lambda keyid: name_of(now.root, keyid)):
                say(f"  {name_of(now.root, keyid)}  {keyid[:16]}…  {here.get(keyid, 'not here')}")
        say(f"root version {now.root.version}, SHA-256 {_digest(desk)}")
        say(f"timestamp version {now.timestamp.version}, signed {_date(now.signed_s)}")


def _rotate(
    station: StationFolder = DEFAULT_STATION,
    replace: Annotated[list[str] | None, typer.Option(help="Name of a key to replace; may be repeated.")] = None,
    key: KeyPlaces = None,
    passphrase_file: PassphraseFile = None,
    root_days: RootDays = 3650,
    days: ValidDays = DEFAULT_DAYS,
) -> None:
    with at_the_desk(station, key, passphrase_file, Validity(root_days, days)) as desk:
        done = rotate_root(desk, replace or (), passphrase_maker(passphrase_file))
        say(f"root version {done.version}, SHA-256 {_digest(desk)}")
        for old, new in done.replaced:
            say(f"{old} is replaced by {new} ({station / KEYS})")
        say("Devices learn of it with the next stick (`edge-convert stick`) or over the air (`edge-convert serve`).")


def _renew(
    station: StationFolder = DEFAULT_STATION,
    key: KeyPlaces = None,
    passphrase_file: PassphraseFile = None,
    days: ValidDays = DEFAULT_DAYS,
) -> None:
    with at_the_desk(station, key, passphrase_file, Validity(rest_days=days)) as desk:
        renew(desk)
        say(f"signed afresh, valid until {_until(desk, 'timestamp')}; the root until {_until(desk, 'root')}")


def _until(desk: Station, role: str) -> str:
    now = desk.repository.read()
    signed = {"root": now.root, "targets": now.targets, "snapshot": now.snapshot, "timestamp": now.timestamp}
    return f"{signed[role].expires:%Y-%m-%d}"


def _digest(desk: Station) -> str:
    return hashlib.sha256(desk.repository.roots()[-1]).hexdigest()


def _date(seconds: int) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M} UTC"
