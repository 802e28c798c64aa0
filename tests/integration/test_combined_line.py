"""A line with a cascade as a real daemon: its messages, its record across a kill, and what it refuses to start with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bundle_parts import repack
from line_process import DEMO_BUNDLE, REPOSITORY, DaemonProcess, wait_until

from edge_runtime.app.daemon import Daemon
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.config.load import load_config
from edge_runtime.domain.errors import BundleError
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mosquitto import Subscriber

FAST_BUNDLE = REPOSITORY / "models" / "demo_fast.bundle"
LINE = """
[device]
name = "line"
state_dir = "state"
[bundle]
path = "{fast}"
[camera]
kind = "folder"
path = "in"
[mqtt]
enabled = {mqtt}
port = {port}
[ops]
metrics_port = false
[recipe]
decision_deadline_ms = 60000
{combine}
[[recipe.combine.members]]
bundle = "{second}"
"""
CASCADE = '[recipe.combine]\nrule = "cascade"\ndoubt_from_percent = 60'
"""A good part has nine tenths of the review limit, a bad one three times the reject limit."""


def _write(folder: Path, *, second: object = DEMO_BUNDLE, combine: str = CASCADE, port: int = 0) -> Path:
    (folder / "in").mkdir(exist_ok=True)
    file = folder / "line.toml"
    mqtt = "true" if port else "false"
    file.write_text(LINE.format(fast=FAST_BUNDLE, second=second, combine=combine, port=port or 1883, mqtt=mqtt))
    return file


def _pictures() -> tuple[bytes, bytes]:
    """A good and a bad part of the demo."""
    with open_bundle(FAST_BUNDLE, trust="development") as bundle:
        golden = bundle.manifest.golden
        good = next(image.payload for image in golden if image.disposition == "PASS")
        bad = next(image.payload for image in golden if image.disposition == "REJECT")
        return bundle.payloads.read(good), bundle.payloads.read(bad)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Path], DaemonProcess]]:
    """Starts daemons; none is left behind."""
    started: list[DaemonProcess] = []

    def run(config: Path) -> DaemonProcess:
        started.append(DaemonProcess(config, tmp_path / "daemon.log"))
        started[-1].wait_ready()
        return started[-1]

    yield run
    for daemon in started:
        daemon.close()


def _deliver(folder: Path, name: str, content: bytes) -> None:
    (folder / f"{name}.part").write_bytes(content)
    (folder / f"{name}.part").rename(folder / "in" / f"{name}.png")


def _payloads(heard: Subscriber, channel: str) -> list[dict[str, Any]]:
    return [message.payload for message in heard.received if message.topic.endswith(f"/{channel}")]


def _verdicts(heard: Subscriber) -> dict[str, dict[str, Any]]:
    """By file name: what is delivered twice counts once."""
    return {message["file"]["path"]: message for message in _payloads(heard, "inspection")}


def test_a_cascade_says_who_looked_and_who_decided_and_a_kill_changes_nothing(
    tmp_path, start, mosquitto, subscribe
) -> None:
    """The clear part is the fast model's, the doubtful one the second's; what is combined is recorded once."""
    heard = subscribe(mosquitto.port)
    config = _write(tmp_path, port=mosquitto.port)
    good, bad = _pictures()
    daemon = start(config)
    _deliver(tmp_path, "bad", bad)
    _deliver(tmp_path, "good", good)
    wait_until(lambda: {"bad.png", "good.png"} <= set(_verdicts(heard)), "two verdicts", 60)
    daemon.kill()
    daemon = start(config)
    _deliver(tmp_path, "again", bad)
    wait_until(lambda: "again.png" in _verdicts(heard), "a verdict after the kill", 60)
    daemon.terminate()
    verdicts = _verdicts(heard)
    for name in ("bad.png", "again.png"):
        assert (verdicts[name]["disposition"], verdicts[name]["bundle"]["name"]) == ("REJECT", "demo-fast")
        assert [look["bundle"]["name"] for look in verdicts[name]["combined"]["looks"]] == ["demo-fast"]
    doubtful = verdicts["good.png"]
    assert (doubtful["disposition"], doubtful["bundle"]["name"]) == ("PASS", "demo")
    looks = doubtful["combined"]["looks"]
    assert [look["bundle"]["name"] for look in looks] == ["demo-fast", "demo"]
    assert (doubtful["score"], doubtful["limits"]) == (looks[1]["score"], looks[1]["limits"])
    activated = [event for event in _payloads(heard, "event") if event["kind"] == "combination_activated"]
    assert len({message["sequence"] for message in activated}) == 1
    assert activated[0]["attributes"]["digest_2"] == doubtful["bundle"]["digest"]
    combination = next(status["combination"] for status in heard.statuses() if status["state"] == "ready")
    assert (combination["rule"], len(combination["models"])) == ("cascade", 2)


def _refusal(config: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        Daemon(load_config(config), lambda: load_config(config), SystemClock())
    return caught.value


def test_a_further_model_with_other_golden_scores_keeps_the_line_from_starting(tmp_path) -> None:
    """It is proved like the line's own; the error names it."""
    with open_bundle(DEMO_BUNDLE, trust="development") as bundle:
        score = bundle.manifest.golden[0].expected_score
    altered = repack(DEMO_BUNDLE.read_bytes(), f'"expected_score": {score}', f'"expected_score": {score + 1}')
    (tmp_path / "altered.bundle").write_bytes(altered)
    assert "does not give the scores" in _refusal(_write(tmp_path, second=tmp_path / "altered.bundle")).what


def test_a_model_is_not_combined_with_itself(tmp_path) -> None:
    """A vote of one model twice would be no vote, whatever the files are called."""
    (tmp_path / "copy.bundle").write_bytes(FAST_BUNDLE.read_bytes())
    assert "combined with itself" in _refusal(_write(tmp_path, second=tmp_path / "copy.bundle")).what
