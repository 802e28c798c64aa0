"""Several products on one line: where the code of the next part comes from, and who is told which one is inspected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.services.product_switch import FileProducts, ProductSwitch

if TYPE_CHECKING:
    from edge_runtime.app.stages import Common
    from edge_runtime.services.activation import ActivationStage
    from edge_runtime.services.plc_link import PlcLink
    from edge_runtime.services.vitals import Vitals


def product_switch(
    line: Common, activation: ActivationStage | None, link: PlcLink | None, vitals: Vitals
) -> ProductSwitch | None:
    """None where the line has one product for ever. With `source = "plc"` the PLC is asked, and told, from now on."""
    products = line.config.products
    if products is None or activation is None:
        return None
    switch = ProductSwitch(products.codes, activation, line.events)
    if products.source == "plc" and link is not None:
        activation.code_source = lambda: _ask_plc(switch, link)
        vitals.product_code = lambda: _number(switch.decides)
    return switch


def file_products(line: Common, switch: ProductSwitch | None) -> FileProducts | None:
    """None unless each file's name says its product."""
    products = line.config.products
    if switch is None or products is None or products.file_pattern is None:
        return None
    return FileProducts(switch, products.file_pattern, line.clock)


def _ask_plc(switch: ProductSwitch, link: PlcLink) -> None:
    if (code := link.inputs.product_code) is not None:
        switch.ask(str(code), "PLC")


def _number(code: str | None) -> int | None:
    return None if code is None else int(code)
