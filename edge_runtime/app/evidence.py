"""How an evidence image looks: the frame, the heatmap over it, a caption."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.config.line import EvidenceSettings
    from edge_runtime.services.flow import EvidenceItem


def evidence_renderer(settings: EvidenceSettings) -> Callable[[EvidenceItem], bytes]:
    """A function from an item to the JPEG that is kept."""
    raise NotImplementedError
