"""Which product comes next: from a product code to the releases that decide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_runtime.domain.frame import Frame
    from edge_runtime.domain.part import Part
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.activation import ActivationStage
    from edge_runtime.services.flow import EventSink
    from edge_runtime.services.model_swap import Model

LEFT_NS: Final = 50_000_000
"""So long before its deadline a part that waits for its product's model is given up, so that its verdict is in time."""


class ProductSwitch:
    """Takes codes from whoever knows them. `ask` is callable from any thread."""

    def __init__(self, codes: Mapping[str, str], activation: ActivationStage, events: EventSink) -> None:
        self._codes = codes
        self._by_product = {product: code for code, product in reversed(list(codes.items()))}
        self._activation = activation
        self._events = events
        self._asked: str | None = None

    @property
    def decides(self) -> str | None:
        """The code of the product whose model decides at this moment; None where nothing may decide."""
        stage = self._activation
        if stage.decider.running == "" or stage.decider.model.product != stage.product:
            return None
        return self._asked if self.product_of(self._asked) == stage.product else self._by_product.get(stage.product)

    def product_of(self, code: str | None) -> str | None:
        """The product behind a code; None: it is not in the configuration."""
        return None if code is None else self._codes.get(code)

    def ask(self, code: str, by: str) -> str | None:
        """The next parts are of the product with this code; returns it. Nothing happens where it is so already.

        A code that nobody knows stops the inspection: no model is right for such a part.

        Args:
            code: as the configuration has it.
            by: who says so, for the record.
        """
        product = self._codes.get(code)
        if code == self._asked:
            return product
        self._asked = code
        if product is None:
            known = ", ".join(self._codes)
            text = f"product code {code!r} ({by}) is not in products.codes, which has {known}"
            self._events("product_unknown", "error", text)
            self._activation.switch_to("", text)
        else:
            self._events("product_changed", "info", f"product code {code} ({by}): {product} from now on")
            self._activation.switch_to(product)
        return product


class FileProducts:
    """The product of each part by its file's name; the part waits until its product's model decides.

    Used by the inspect stage alone.
    """

    def __init__(self, switch: ProductSwitch, pattern: str, clock: Clock) -> None:
        self._switch = switch
        self._pattern = re.compile(pattern)
        self._clock = clock

    def admit(self, part: Part, frame: Frame, model: Model) -> bool | str:
        """True: the model that decides is this part's; false: wait; text: it cannot be inspected, and why."""
        path = "" if frame.file is None else frame.file.path
        found = self._pattern.search(path)
        code = None if found is None else found.group(1)
        if code is None:  # also a group that the pattern lets be absent
            return f"no product code in the name {path!r}"
        product = self._switch.ask(code, "file name")
        if product is None:
            return f"product code {code!r} in {path!r} is not in products.codes"
        if model.product == product and not model.is_stand_in:
            return True
        if self._clock.monotonic_ns() < part.deadline_ns - LEFT_NS:
            return False
        return f"the model of product {product} was not loaded in time"
