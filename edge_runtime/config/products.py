"""`[products]`: several products on one line, and how it knows which one comes next."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge_runtime.config.base import Settings


class ProductSettings(Settings):
    """`[products]`: several products on one line, each with its own releases."""

    source: Literal["plc", "mqtt", "file"]
    """Who says which product comes next: a register of the PLC (`plc.product_address`), the MQTT command `product`, or
    each file's name."""
    codes: dict[str, str] = Field(min_length=1)
    """Product code → product, as in `{ "17" = "gear", "18" = "shaft" }`. From the PLC a code is a number up to
    65534."""
    file_pattern: str | None = None
    """With `source = "file"`: a regular expression that is searched in the file's path, with one group ( ) around the
    product code."""
