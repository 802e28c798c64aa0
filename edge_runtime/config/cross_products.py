"""Settings of `[products]` that contradict others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from edge_runtime.config.camera import FolderCameraSettings
from edge_runtime.config.finding import finding
from edge_runtime.config.plc import ModbusRtuSettings, ModbusTcpSettings, SimulatedPlcSettings
from edge_runtime.domain.update import PRODUCT_FORM, PRODUCT_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.config.finding import Finding
    from edge_runtime.config.line import LineConfig
    from edge_runtime.config.products import ProductSettings

REGISTER_BLOCK: Final = 32
"""Registers that a block of the Modbus map may take up."""
PRODUCT_WORDS: Final = 5
"""The code, our answer, and three spare ones behind it."""
MOST_CODE: Final = 65_534
"""65535 is what the device answers where nothing can be inspected."""


def product_contradictions(config: LineConfig) -> Iterator[Finding]:
    """Errors between keys that are each fine."""
    products = config.products
    if products is None:
        return
    if config.bundle.product is None:
        yield finding("needs bundle.product, the product that the line begins with", "products", "bundle.product")
    elif config.bundle.product not in products.codes.values():
        yield finding(
            f'no code leads to bundle.product ("{config.bundle.product}"), the product that the line begins with',
            "products.codes",
            "bundle.product",
        )
    for name in products.codes.values():
        if not re.fullmatch(PRODUCT_PATTERN, name):
            yield finding(f'"{name}" is no name of a product: {PRODUCT_FORM}', "products.codes")
    yield from {"plc": _plc, "mqtt": _mqtt, "file": _file}[products.source](config, products)
    if products.file_pattern is not None and products.source != "file":
        yield finding('is of use with products.source = "file" only', "products.file_pattern", "products.source")


def _plc(config: LineConfig, products: ProductSettings) -> Iterator[Finding]:
    plc = config.plc
    if not isinstance(plc, ModbusTcpSettings | ModbusRtuSettings | SimulatedPlcSettings):
        yield finding(
            f'"plc" needs a PLC with registers, and plc.kind = "{plc.kind}" has none', "products.source", "plc.kind"
        )
    elif plc.product_address is None:
        yield finding(
            '"plc" needs plc.product_address, the register with the code', "products.source", "plc.product_address"
        )
    elif isinstance(plc, ModbusTcpSettings | ModbusRtuSettings):
        for name, address in (("result_address", plc.result_address), ("status_address", plc.status_address)):
            if -PRODUCT_WORDS < plc.product_address - address < REGISTER_BLOCK:
                yield finding(
                    f"and its {PRODUCT_WORDS - 1} spare registers lie in the block of plc.{name} ({address})",
                    "plc.product_address",
                    f"plc.{name}",
                )
    for code in products.codes:
        if not (code.isdecimal() and code.isascii() and int(code) <= MOST_CODE and str(int(code)) == code):
            yield finding(
                f'"{code}" cannot stand in a register: a code is a number from 0 to {MOST_CODE}', "products.codes"
            )


def _mqtt(config: LineConfig, _products: ProductSettings) -> Iterator[Finding]:
    if not config.mqtt.enabled or "product" not in config.mqtt.commands:
        yield finding('"mqtt" needs "product" among mqtt.commands', "products.source", "mqtt.commands")


def _file(config: LineConfig, products: ProductSettings) -> Iterator[Finding]:
    if not isinstance(config.camera, FolderCameraSettings):
        yield finding('"file" needs a watched folder as camera', "products.source", "camera.kind")
    if products.file_pattern is None:
        yield finding(
            '"file" needs products.file_pattern, which finds the code', "products.source", "products.file_pattern"
        )
        return
    try:
        groups = re.compile(products.file_pattern).groups
    except re.error as error:
        yield finding(f"is not a regular expression: {error}", "products.file_pattern")
        return
    if groups != 1:
        text = f"must have exactly one group ( ) around the product code, has {groups}"
        yield finding(text, "products.file_pattern")
