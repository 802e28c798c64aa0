"""What a rollout needs of the rest: candidates, and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge_runtime.domain.rollout import RolloutReport, RolloutStage
    from edge_runtime.domain.verdict import BundleIdentity
    from edge_runtime.services.model_swap import Model
    from edge_runtime.services.shadow import Onlooker


class Contenders(Protocol):
    """Where candidates come from, and what becomes of one that has passed."""

    def newest(self, product: str, ended: Collection[str]) -> BundleIdentity | None:
        """The candidate to compare now; None: there is none.

        Args:
            product: what is inspected; empty where a line has one bundle for ever.
            ended: digests of those that were stopped.

        Raises:
            EdgeError: the store cannot be asked, or the file is no bundle.
        """

    def watch(self, candidate: BundleIdentity) -> Onlooker:
        """Begin its process; returns at once.

        Raises:
            OSError: there is no room for another process.
        """

    def load(self, candidate: BundleIdentity) -> Model:
        """Load it to decide: proved and warm, as the line loads any other.

        Raises:
            EdgeError: it cannot run here.
        """

    def activate(self, candidate: BundleIdentity, who: str, why: str) -> str:
        """It is to decide every part; returns what happens now, for a person.

        Raises:
            EdgeError: it may not.
        """

    def note(self, candidate: BundleIdentity, text: str) -> None:
        """For the history of releases. Never raises."""


class Told(Protocol):
    """Who is told. Never waits, never raises."""

    def entered(self, stage: RolloutStage, candidate: BundleIdentity, reason: str) -> None:
        """The candidate stands somewhere else now."""

    def refused(self, what: str, who: str, why: str) -> None:
        """What a person asked for is not done."""

    def reconsidered(self, digest: str, ended: str, who: str, why: str) -> None:
        """A person lets a candidate be compared again, which had been `ended`."""

    def unwritten(self, why: str) -> None:
        """The books cannot be written."""

    def report(self, report: RolloutReport) -> None:
        """How it stands."""
