"""A training that stops goes on as if it had never stopped."""

from __future__ import annotations

import signal

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from efficientad_parts import press_ctrl_c  # noqa: E402

from edge_convert.efficientad.loop import Course, follow  # noqa: E402
from edge_convert.progress import Silent  # noqa: E402
from edge_runtime.domain.errors import ConfigError  # noqa: E402
from edge_runtime.ops.clock import SystemClock  # noqa: E402


class _Counter:
    """Learns to remember which steps it took."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.steps: list[int] = []
        self._interrupt_at = interrupt_at

    def learn(self, step):
        self.steps.append(step)
        if step == self._interrupt_at:
            press_ctrl_c()
        return float(step)

    def state(self):
        return {"steps": torch.tensor(self.steps)}

    def restore(self, state):
        self.steps = state["steps"].tolist()


def _course(tmp_path, *, resume: bool = False, **run: str) -> Course:
    return Course("counting", 8, tmp_path / "c.checkpoint", run or {"seed": "1"}, save_every=3, resume=resume)


def test_ctrl_c_finishes_the_step_and_resume_takes_the_rest(tmp_path):
    """Nothing is done twice or left out."""
    first = follow(_course(tmp_path), _Counter(interrupt_at=4), Silent(), SystemClock())
    assert (first.steps, first.stopped) == (5, True)
    counter = _Counter()
    second = follow(_course(tmp_path, resume=True), counter, Silent(), SystemClock())
    assert (second.steps, second.stopped) == (8, False)
    assert counter.steps == list(range(8))
    assert second.seconds > first.seconds


def test_a_crash_costs_the_steps_since_the_last_checkpoint(tmp_path):
    """The checkpoint of step 3 is on disk although the training died in step 5."""

    class _Crash(_Counter):
        def learn(self, step):
            if step == 5:
                raise RuntimeError
            return super().learn(step)

    with pytest.raises(RuntimeError):
        follow(_course(tmp_path), _Crash(), Silent(), SystemClock())
    counter = _Counter()
    follow(_course(tmp_path, resume=True), counter, Silent(), SystemClock())
    assert counter.steps == list(range(8))


def test_an_unfinished_training_is_not_overwritten(tmp_path):
    """Who repeats the command without --resume is told, instead of losing hours."""
    follow(_course(tmp_path), _Counter(interrupt_at=1), Silent(), SystemClock())
    with pytest.raises(ConfigError, match="unfinished") as caught:
        follow(_course(tmp_path), _Counter(), Silent(), SystemClock())
    assert "--resume" in caught.value.action


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    """The message names what differs."""
    follow(_course(tmp_path, seed="1"), _Counter(interrupt_at=1), Silent(), SystemClock())
    with pytest.raises(ConfigError, match="seed was 1, now 2"):
        follow(_course(tmp_path, resume=True, seed="2"), _Counter(), Silent(), SystemClock())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_a_broken_checkpoint_is_refused(tmp_path, content):
    """Garbage is reported as such."""
    (tmp_path / "c.checkpoint").write_bytes(content)
    with pytest.raises(ConfigError, match="is not a checkpoint"):
        follow(_course(tmp_path, resume=True), _Counter(), Silent(), SystemClock())


def test_signals_are_given_back(tmp_path):
    """After a training Ctrl-C does what it did before."""
    before = signal.getsignal(signal.SIGINT)
    follow(_course(tmp_path), _Counter(), Silent(), SystemClock())
    assert signal.getsignal(signal.SIGINT) is before
