"""The models that are loaded, within a memory budget; each loaded in a thread of its own, one at a time."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from edge_runtime.decision.activation import HEADROOM, Loaded, Rank, Room, to_unload
from edge_runtime.domain.errors import EdgeError
from edge_runtime.ops.threads import of_this_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.update import StoredRelease
    from edge_runtime.ops.clock import Clock
    from edge_runtime.ops.memory import Memory
    from edge_runtime.services.model_swap import Model

_log = logging.getLogger(__name__)


class Loader(Protocol):
    """Loads releases."""

    def load(self, release: StoredRelease) -> Model:
        """Load it, warm it up and prove it on its golden images; takes up to minutes.

        Raises:
            EdgeError: it cannot run here, or gives other scores than it should.
        """

    def file_bytes(self, release: StoredRelease) -> int:
        """The size of its file: what it will weigh in memory, as far as that can be told before."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of a load."""

    release: StoredRelease
    model: Model | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """See `decision.activation.Room`."""

    budget_bytes: int | None
    reserve_bytes: int | None
    """None: a share of what the machine has."""


class ModelPool:
    """Used by one thread, but that `Model`s in it are used by others."""

    def __init__(self, loader: Loader, budget: Budget, memory: Memory, clock: Clock) -> None:
        self._loader = loader
        self._budget = budget
        self._memory = memory
        self._clock = clock
        self._models: dict[str, Model] = {}
        self._ranks: dict[str, Rank] = {}
        self._used_ns: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._loading: StoredRelease | None = None
        self._arrival: Arrival | None = None

    @property
    def loading(self) -> StoredRelease | None:
        """What is being loaded now."""
        return self._loading

    @property
    def memory_bytes(self) -> int:
        """Of all that is loaded, as far as it could be measured."""
        return sum(model.memory_bytes for model in self._models.values())

    def get(self, digest: str) -> Model | None:
        """The model of this release, if it is loaded."""
        return self._models.get(digest)

    def digests(self) -> tuple[str, ...]:
        """All that are loaded."""
        return tuple(self._models)

    def keep(self, model: Model, rank: Rank) -> None:
        """Hold it."""
        self._models[model.digest] = model
        self._used_ns[model.digest] = self._clock.monotonic_ns()
        self._ranks[model.digest] = rank

    def drop(self, digest: str) -> None:
        """Forget it: it failed, or must not run any more."""
        self._models.pop(digest, None)

    def rank(self, rank_of: Callable[[str], Rank]) -> None:
        """Say again what each is there for, and let go what memory has no room for."""
        now_ns = self._clock.monotonic_ns()
        for digest in self._models:
            self._ranks[digest] = rank_of(digest)
            if self._ranks[digest] is Rank.RUNNING:
                self._used_ns[digest] = now_ns
        # Where not even that is enough, the rest goes as well: the running one needs the room more.
        going = to_unload(self._standing(), self._room())
        self._unload(tuple(self._idle()) if going is None else going)

    def make_room(self, release: StoredRelease, at_least: Rank, *, to_stay: bool) -> bool:
        """Room to load one more, at the cost of models below `at_least`; false if there is none.

        Args:
            release: what is to be loaded.
            at_least: models that are of more use than this stay.
            to_stay: it is to be kept beside the others, and has to fit into the budget with them.
        """
        wanted = round(HEADROOM * max(self._loader.file_bytes(release), self._smallest()))
        movable = [model for model in self._standing() if model.rank < at_least]
        fixed = [model for model in self._standing() if model.rank >= at_least]
        held = [Loaded(model.digest, Rank.RUNNING, model.memory_bytes, 0) for model in fixed]
        room = self._room() if to_stay else replace(self._room(), budget_bytes=None)
        going = to_unload([*movable, *held], room, wanted)
        if going is None:
            return False
        self._unload(going)
        return True

    def begin(self, release: StoredRelease) -> None:
        """Start loading in a thread of its own. Nothing may be loading."""
        self._loading = release
        self._thread = threading.Thread(target=self._load, args=(release,), name=of_this_line("loader"), daemon=True)
        self._thread.start()

    def arrived(self) -> Arrival | None:
        """What was begun, once it has come to an end; each once."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread.join()
        arrival, self._thread, self._loading, self._arrival = self._arrival, None, None, None
        return arrival

    def _load(self, release: StoredRelease) -> None:
        try:
            self._arrival = Arrival(release, self._loader.load(release))
        except EdgeError as error:
            self._arrival = Arrival(release, None, error.what)
        except Exception as error:  # noqa: BLE001  (an engine that breaks while it loads may throw anything)
            _log.error("%s %s could not be loaded", release.name, release.version, exc_info=True)
            self._arrival = Arrival(release, None, f"{type(error).__name__}: {error}")

    def _standing(self) -> list[Loaded]:
        return [
            Loaded(digest, self._ranks[digest], model.memory_bytes, self._used_ns[digest])
            for digest, model in self._models.items()
        ]

    def _idle(self) -> list[str]:
        return [digest for digest in self._models if self._ranks[digest] is not Rank.RUNNING]

    def _smallest(self) -> int:
        return min((model.memory_bytes for model in self._models.values()), default=0)

    def _room(self) -> Room:
        figure = self._memory.look()
        if figure is None:
            return Room(self._budget.budget_bytes, None, self._budget.reserve_bytes or 0)
        reserve = figure.reserve_bytes if self._budget.reserve_bytes is None else self._budget.reserve_bytes
        return Room(self._budget.budget_bytes, figure.available_bytes, reserve)

    def _unload(self, digests: tuple[str, ...]) -> None:
        for digest in digests:
            bundle = self._models.pop(digest).bundle.identity
            _log.info("%s %s is no longer kept loaded: there is no memory for it", bundle.name, bundle.version)
