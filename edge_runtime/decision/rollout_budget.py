"""How often a shadow may look: its share of one processor core, and not a look more."""

from __future__ import annotations


class CpuBudget:
    """Keeps the time spent within `share` of the time that passes. What is not used is not saved up."""

    def __init__(self, share: float) -> None:
        """Begin with a free start.

        Args:
            share: of one core, > 0: 0.25 is a quarter of a core, 2.0 are two.
        """
        self.share = share
        self._free_at_ns = 0
        self.spent_ns = 0
        """Since the beginning."""

    def allows(self, now_ns: int) -> bool:
        """Whether a look may begin."""
        return now_ns >= self._free_at_ns

    def spend(self, began_ns: int, cost_ns: int) -> None:
        """A look that began then has cost so much processor time, over all its threads."""
        self.spent_ns += cost_ns
        self._free_at_ns = began_ns + round(cost_ns / self.share)
