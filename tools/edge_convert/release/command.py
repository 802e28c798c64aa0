"""`edge-convert release`, `revoke`, `releases`, `stick` and `serve`: what devices get."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_convert.release import keys_command
from edge_convert.release.desk import (
    DEFAULT_DAYS,
    DEFAULT_STATION,
    KeyPlaces,
    PassphraseFile,
    StationFolder,
    ValidDays,
    at_the_desk,
    say,
)
from edge_convert.release.export import export
from edge_convert.release.mirror import serve
from edge_convert.release.releasing import RELEASED_NOTE, history, release, terms_of
from edge_convert.release.revoking import revoke
from edge_convert.release.signing import Validity
from edge_convert.release.stick import FOLDER, PART_BYTES, write_stick
from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.release_layout import target_path
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import BundleError

if TYPE_CHECKING:
    from edge_convert.release.releasing import Released
    from edge_convert.release.station import Station

Out = Annotated[Path | None, typer.Option(help="Also write the signed bundle as one file.")]


def register(app: typer.Typer) -> None:
    """Add the release station's commands."""
    keys_command.register(app)
    app.command(name="release", help="Sign a bundle: it becomes the current release of its product.")(_release)
    app.command(name="revoke", help="Sign a release that forbids older ones for ever, even by hand.")(_revoke)
    app.command(name="releases", help="What was released, and what is in force.")(_releases)
    app.command(name="stick", help="Write the current releases to a stick, and verify what was written.")(_stick)
    app.command(name="serve", help="Bring a folder up to date that any web server can hand out.")(_serve)


def _release(
    bundle: Annotated[Path, typer.Argument(help="The bundle file, as `teach`, `import` or `relimit` wrote it.")],
    out: Out = None,
    station: StationFolder = DEFAULT_STATION,
    product: Annotated[str | None, typer.Option(help="What it inspects. Default: the bundle's name.")] = None,
    hardware: Annotated[
        list[str] | None, typer.Option(help="For these devices only (`x86_64`); may be repeated.")
    ] = None,
    min_counter: Annotated[int | None, typer.Option(min=0, help="Revoke every release with a smaller counter.")] = None,
    counter: Annotated[int | None, typer.Option(min=1, help="Jump ahead to this counter, after a theft.")] = None,
    no_self_test: Annotated[bool, typer.Option(help="Do not inspect its golden images on this machine first.")] = False,  # noqa: FBT002
    key: KeyPlaces = None,
    passphrase_file: PassphraseFile = None,
    days: ValidDays = DEFAULT_DAYS,
) -> None:
    with at_the_desk(station, key, passphrase_file, Validity(rest_days=days)) as desk:
        if not no_self_test:
            _prove(bundle)
        with open_bundle(bundle, trust="development") as opened:
            done = release(
                desk,
                opened,
                product=product or opened.manifest.identity.name,
                hardware=hardware or (),
                min_counter=min_counter,
                counter=counter,
            )
        _finish(desk, done, out)


def _prove(bundle: Path) -> None:
    with load_inspector(bundle, EngineSettings(), "development") as inspector:
        report = golden_self_test(
            inspector.detector, inspector.bundle, inspector.payloads, inspector.engine_description
        )
    if not report.passed:
        raise BundleError(
            f"{bundle} does not reproduce its golden images on this machine: {report.summary}",
            "Make it again. To release it all the same, for devices of another kind: --no-self-test.",
        )
    say(f"self-test: {report.summary} ({inspector.engine_description})")


def _finish(desk: Station, done: Released, out: Path | None) -> None:
    terms = done.terms
    say(
        f"{terms.product}: release {terms.counter} is {done.name} {done.version}, revision {done.revision}",
        f"  bundle digest {done.digest}",
        f"  for {', '.join(terms.hardware) or 'any hardware'}; releases below {terms.min_counter} are revoked",
    )
    if out is not None:
        export(desk, terms.product, out)
        say(f"  {out}")
    say("Devices get it by `edge-convert stick` or `edge-convert serve`.")


def _revoke(
    product: Annotated[str, typer.Argument(help="The product.")],
    below: Annotated[int, typer.Option(min=1, help="Revoke every release with a smaller counter.")],
    reissue: Annotated[
        int | None, typer.Option(min=1, help="Sign the content of this release again. Default: the current one.")
    ] = None,
    out: Out = None,
    station: StationFolder = DEFAULT_STATION,
    key: KeyPlaces = None,
    passphrase_file: PassphraseFile = None,
    days: ValidDays = DEFAULT_DAYS,
) -> None:
    with at_the_desk(station, key, passphrase_file, Validity(rest_days=days)) as desk:
        _finish(desk, revoke(desk, product, below, reissue=reissue), out)


def _releases(station: StationFolder = DEFAULT_STATION) -> None:
    with at_the_desk(station, None, None) as desk:
        now = desk.repository.read()
        for product in now.products:
            past = history(desk, product)
            floor = max(terms_of(one).min_counter for one in past)
            say(product)
            for one in past:
                terms, identity = terms_of(one), one.identity
                current = now.targets.targets[target_path(product)].hashes["sha256"] == identity.digest
                state = "in force" if current else "revoked" if terms.counter < floor else ""
                say(
                    f"  {terms.counter:>6}  {identity.name} {identity.version} revision {one.revision}  "
                    f"{one.notes.get(RELEASED_NOTE, '')}  {identity.digest[:16]}…  {state}".rstrip()
                )


def _stick(
    folder: Annotated[Path, typer.Argument(help="Where the stick is mounted.")],
    product: Annotated[list[str] | None, typer.Option(help="Only these; may be repeated. Default: all.")] = None,
    part_mb: Annotated[int, typer.Option(min=1, help="Larger files are split; FAT32 holds 4 GB.")] = PART_BYTES
    // 10**6,
    station: StationFolder = DEFAULT_STATION,
) -> None:
    with at_the_desk(station, None, None) as desk:
        for one in write_stick(desk, folder, product or (), part_bytes=part_mb * 10**6):
            say(
                f"{one.product}: release {one.counter}, {one.size_bytes / 1e6:.1f} MB, read back and verified",
                *(f"  {folder / FOLDER / name}" for name in one.files),
            )


def _serve(
    folder: Annotated[Path, typer.Argument(help="The web server's folder.")], station: StationFolder = DEFAULT_STATION
) -> None:
    with at_the_desk(station, None, None) as desk:
        done = serve(desk, folder)
        say(
            f"{folder}: {', '.join(done.products) or 'no release yet'}; {done.new_files} new payloads "
            f"({done.new_bytes / 1e6:.1f} MB), verified"
        )
