"""`edge-runtime bundle`: signed releases on this device, for the technician in front of it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.cli.bundle_compare import (
    compare_command,
    promote_command,
    reconsider_command,
    withdraw_command,
)
from edge_runtime.cli.bundle_view import entry_line, release_lines, table, trust_line
from edge_runtime.cli.options import DEFAULT_CONFIG, AsJson, Config, Why, who
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.bundles.store import ReleaseStore
    from edge_runtime.bundles.store_receipts import ReceiptStore
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.update import StoredRelease, UpdateState

_HISTORY_SHOWN = 20

bundle_app = typer.Typer(
    name="bundle",
    help="Signed releases: check, install, look at, activate, roll back and pin them.",
    no_args_is_help=True,
)
bundle_app.command("compare")(compare_command)
bundle_app.command("promote")(promote_command)
bundle_app.command("withdraw")(withdraw_command)
bundle_app.command("reconsider")(reconsider_command)

File = Annotated[Path, typer.Argument(help="A .bundle file of the release station; of one in parts the first part.")]
Which = Annotated[str, typer.Argument(help="Its digest, the first 6 digits of it or more, or NAME@VERSION.")]


@bundle_app.command("trust")
def trust_command(
    root: Annotated[Path, typer.Argument(help="root.json of the release station, carried here by hand.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Make this device trust a release station: once, when it is set up. Refused where it trusts one already."""
    from edge_runtime.app.updates import make_installer, writable  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    try:
        with root.open("rb") as file:
            content = file.read(1 << 20)
    except OSError as error:
        raise ConfigError(f"{root} cannot be read: {error.strerror}", "Check the path.") from error
    with _opened(config) as (settings, store):
        digest = make_installer(settings, writable(store), SystemClock()).provision(content)
    typer.echo(f"this device trusts the station whose root.json has the SHA-256\n  {digest}")
    typer.echo("Compare it with what the station shows (`edge-convert keys show`), then delete the copy you came with.")


@bundle_app.command("verify")
def verify_command(file: File, config: Config = DEFAULT_CONFIG) -> None:
    """Check a release against what this device trusts, and whether it is meant for it. Nothing is changed."""
    from edge_runtime.app.updates import make_installer, writable  # noqa: PLC0415
    from edge_runtime.bundles.release_blocks import release_blocks  # noqa: PLC0415
    from edge_runtime.bundles.slice import open_release_file  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    with _opened(config) as (settings, store), open_release_file(file) as source:
        found = make_installer(settings, writable(store), SystemClock()).examine(source)
        size = sum(len(block) for block in release_blocks(found.verified, source))
    identity, terms = found.verified.manifest.identity, found.verified.terms
    typer.echo(f"{identity.name} {identity.version} for product {terms.product}, release {terms.counter}")
    typer.echo(f"signed and whole: {size / 1e6:.1f} MB, digest {found.verified.digest}")
    if found.known is not None:
        reason = f" ({found.known.reason})" if found.known.reason else ""
        typer.echo(f"on this device it is {found.known.state.value} already{reason}")


@bundle_app.command("install")
def install_command(
    file: File,
    config: Config = DEFAULT_CONFIG,
    again: Annotated[bool, typer.Option("--again", help="Although it failed on this device before.")] = False,
) -> None:
    """Verify a release, copy it, let it prove itself on its golden images, and hand it to the line.

    Of a release that is refused nothing stays, and the running model goes on.
    """
    from edge_runtime.app.updates import make_installer, writable  # noqa: PLC0415
    from edge_runtime.bundles.slice import open_release_file  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    with _opened(config) as (settings, store), open_release_file(file) as source:
        installer = make_installer(settings, writable(store), SystemClock(), _tell)
        taken = installer.install(source, who(), again=again)
    for line in release_lines(taken):
        typer.echo(line)


@bundle_app.command("list")
def list_command(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Every release on this device: which decides, which waits, which failed; and how old its trust is."""
    from edge_runtime.app.updates import trust_view  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    with _opened(config) as (_, store):
        found = list(store.releases())
        running = {product: store.standing(product).active for product in store.products()}
        trust = trust_view(store)
    active = {release.digest for release in running.values() if release is not None}
    if as_json:
        _print_json([{**_plain(release), "active": release.digest in active} for release in found])
        return
    for line in table(found, active):
        typer.echo(line)
    typer.echo(trust_line(trust, SystemClock().wall_ns()))


@bundle_app.command("show")
def show_command(which: Which, config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """One release, and its story on this device."""
    with _opened(config) as (_, store):
        release = store.find(which)
        story = [entry for entry in store.history(1_000) if entry.digest == release.digest]
    if as_json:
        history = [{"at_ns": one.at_ns, "kind": one.kind, "text": one.text} for one in story]
        _print_json({**_plain(release), "history": history})
        return
    for line in (*release_lines(release), *map(entry_line, reversed(story))):
        typer.echo(line)


@bundle_app.command("history")
def history_command(
    config: Config = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="So many of the newest entries.")] = _HISTORY_SHOWN,
) -> None:
    """What happened to the releases of this device, newest last: installed, refused, tried, confirmed, rolled back."""
    with _opened(config) as (_, store):
        for entry in reversed(store.history(limit)):
            typer.echo(entry_line(entry))


@bundle_app.command("activate")
def activate_command(
    which: Which,
    config: Config = DEFAULT_CONFIG,
    why: Why = "by hand",
    again: Annotated[bool, typer.Option("--again", help="Although it failed on this device before.")] = False,
) -> None:
    """Have the line take up a release of the store; it goes through its trial as a new one does."""
    with _opened(config) as (_, store):
        done = store.request_activation(store.find(which).digest, who(), why, again=again)
    for line in release_lines(done):
        typer.echo(line)


@bundle_app.command("rollback")
def rollback_command(
    product: Annotated[str | None, typer.Argument(help="Default: the product in the configuration.")] = None,
    config: Config = DEFAULT_CONFIG,
    why: Why = "by hand",
) -> None:
    """Back to the release that ran before. Never to a revoked one."""
    with _opened(config) as (settings, store):
        wanted = product or settings.bundle.product
        if wanted is None:
            raise ConfigError(
                "the configuration names no product, and neither does the command",
                "Say which: `edge-runtime bundle rollback PRODUCT`; `edge-runtime bundle list` shows them.",
            )
        done = store.request_rollback(wanted, who(), why)
    typer.echo("going back to:")
    for line in release_lines(done):
        typer.echo(line)


@bundle_app.command("pin")
def pin_command(
    which: Which,
    config: Config = DEFAULT_CONFIG,
    why: Why = "by hand",
    off: Annotated[bool, typer.Option("--off", help="Take the pin out again.")] = False,
) -> None:
    """Keep a release: it is never removed, and no other one of its product takes its place unless it fails."""
    with _opened(config) as (_, store):
        done = store.pin(store.find(which).digest, who(), why, on=not off)
    for line in release_lines(done):
        typer.echo(line)


@contextmanager
def _opened(config: Path) -> Iterator[tuple[LineConfig, ReleaseStore | ReceiptStore]]:
    from edge_runtime.app.updates import open_updates  # noqa: PLC0415  (only this command needs it)
    from edge_runtime.config.load import load_config  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    settings = load_config(config)
    store = open_updates(settings, SystemClock())
    try:
        yield settings, store
    finally:
        store.close()


def _tell(state: UpdateState, text: str) -> None:
    typer.echo(f"{state.value:<12} {text}")


def _plain(release: StoredRelease) -> dict[str, object]:
    terms = release.terms
    return {
        "digest": release.digest,
        "product": terms.product,
        "name": release.name,
        "version": release.version,
        "revision": release.revision,
        "counter": terms.counter,
        "min_counter": terms.min_counter,
        "hardware": list(terms.hardware),
        "state": release.state.value,
        "attempts": release.attempts,
        "installed_ns": release.installed_ns,
        "pinned": release.pinned,
        "confirmed": release.confirmed,
        "stored": release.stored,
        "reason": release.reason,
    }


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
