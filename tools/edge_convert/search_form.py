"""Which of two searches a memory bank gets: the exact one, or a float32 graph of the whole bank.

The exact search multiplies far less, but between its steps it is Python, and takes the interpreter's lock anew a few
dozen times a picture; the graph takes it two or three times. For a small bank that decides, above all in a daemon whose
other threads want the lock as well (docs/search.md has the figures). The verdicts are the same.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from edge_runtime.domain.errors import ConfigError

SearchForm: TypeAlias = Literal["exact", "graph"]
WantedForm: TypeAlias = Literal["auto", "exact", "graph"]

GRAPH_UP_TO: Final = 100_000_000
"""Multiplications of a picture, patches × rows × features, up to which the graph is the better one.

Beside a thread that holds the interpreter's lock half of the time both took equally long at 90 to 130 million, on both
engines and with 96 to 1,536 features. A rule and no measurement at teaching: equal inputs are to give equal bundles."""
_NARROW: Final = 64
"""Patches of fewer features cost a graph as much as these: the smallest distances have to be found, too."""


def multiplications(rows: int, patches: int, channels: int) -> int:
    """What brute force multiplies for P patches, a bank of M rows and C features."""
    return rows * patches * channels


def form_for(rows: int, patches: int, channels: int, neighbours: int, wanted: WantedForm) -> SearchForm:
    """The form of such a bank.

    Args:
        rows: of the bank.
        patches: that are looked for at a time.
        channels: features of a patch.
        neighbours: rows by which a score is reweighted, below 2: it is not. A graph cannot do it.
        wanted: auto: by the rule above.

    Raises:
        ConfigError: a graph is wanted for scores that are reweighted.
    """
    if neighbours > 1:
        if wanted == "graph":
            raise ConfigError(
                "--search graph: a graph cannot reweight scores by neighbours in the bank",
                "Leave --search out, or have scores without --neighbours.",
            )
        return "exact"
    if wanted != "auto":
        return wanted
    return "graph" if multiplications(rows, patches, max(channels, _NARROW)) <= GRAPH_UP_TO else "exact"
