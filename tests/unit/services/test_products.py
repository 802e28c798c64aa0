from __future__ import annotations

import json
from dataclasses import replace

import pytest
from activation_bench import ActivationBench
from makers import MS, make_frame, make_part

from edge_runtime.broker.port import Request
from edge_runtime.domain.frame import FileIdentity
from edge_runtime.services.product_request import PRODUCT, ProductCommand
from edge_runtime.services.product_switch import LEFT_NS, FileProducts, ProductSwitch

CODES = {"17": "part", "18": "gear"}


class ProductBench(ActivationBench):
    """Two products, both with a confirmed release; everything that was told."""

    def __init__(self, folder) -> None:
        super().__init__(folder, products=("part", "gear"))
        self.events: list[tuple[str, str]] = []
        self.switch = ProductSwitch(CODES, self.stage, lambda kind, _severity, text: self.events.append((kind, text)))
        self.looks()


@pytest.fixture
def bench(tmp_path) -> ProductBench:
    """A line with two products."""
    return ProductBench(tmp_path)


def test_a_code_changes_the_product_once(bench: ProductBench) -> None:
    """A register that is read ten times a second makes no ten records."""
    for _ in range(5):
        assert bench.switch.ask("18", "PLC") == "gear"
    bench.looks(1)
    assert (bench.models.current.product, bench.switch.decides) == ("gear", "18")
    assert [kind for kind, _ in bench.events] == ["product_changed"]


def test_an_unknown_code_stops_the_inspection_and_says_which_are_known(bench: ProductBench) -> None:
    """No model is right for such a part; the next known code goes on."""
    assert bench.switch.ask("99", "PLC") is None
    bench.looks(2)
    assert (bench.decides(), bench.switch.decides) == (0, None)
    assert bench.events[-1][0] == "product_unknown"
    assert "17, 18" in bench.events[-1][1]
    bench.switch.ask("17", "PLC")
    bench.looks(2)
    assert (bench.decides(), bench.switch.decides) == (1, "17")


def test_the_plc_is_told_the_code_of_the_first_product_before_anybody_asked(bench: ProductBench) -> None:
    """The line begins with bundle.product."""
    assert bench.switch.decides == "17"


def part_from(bench: ProductBench, path: str, deadline_ms: int = 500):
    """A part whose frame came from this file."""
    now_ns = bench.clock.monotonic_ns()
    frame = replace(make_frame(1, now_ns), file=FileIdentity(path, 1, 1, "0" * 64))
    return replace(make_part(1, now_ns, deadline_ms), arrival=frame), frame


def test_a_files_part_waits_for_its_products_model_and_not_longer(bench: ProductBench) -> None:
    """The change is asked for by the first part of the product; just before its deadline it is given up, with why."""
    products = FileProducts(bench.switch, r"^(\d+)/", bench.clock)
    part, frame = part_from(bench, "18/a.png")
    assert products.admit(part, frame, bench.models.current) is False
    bench.looks(1)
    assert products.admit(part, frame, bench.models.current) is True
    part, frame = part_from(bench, "17/b.png")
    assert products.admit(part, frame, bench.models.current) is False
    bench.clock.advance(500 * MS - LEFT_NS)
    why = products.admit(part, frame, bench.models.current)
    assert why == "the model of product part was not loaded in time"


@pytest.mark.parametrize("path", ["a.png", "99/a.png"])
def test_a_file_without_a_known_code_is_not_inspected(bench: ProductBench, path: str) -> None:
    """The reason names the file or the code."""
    products = FileProducts(bench.switch, r"^(\d+)/", bench.clock)
    why = products.admit(*part_from(bench, path), bench.models.current)
    assert isinstance(why, str)
    assert "99" in why or "a.png" in why


def test_a_group_that_may_be_absent_is_no_code(bench: ProductBench) -> None:
    """As a name that the pattern does not find: this part is not inspected, the next one is."""
    products = FileProducts(bench.switch, r"^(?:(\d+)/)?[^/]+$", bench.clock)
    assert products.admit(*part_from(bench, "17/a.png"), bench.models.current) is True
    assert products.admit(*part_from(bench, "b.png"), bench.models.current) == "no product code in the name 'b.png'"
    assert bench.switch.decides == "17"


class TestCommand:
    """The command over MQTT."""

    @pytest.fixture(autouse=True)
    def _command(self, bench: ProductBench) -> None:
        self.bench, self.told = bench, []
        self.command = ProductCommand(bench.switch, self.told.append, bench.clock)

    def send(self, payload: bytes) -> None:
        """As the broker hands it over."""
        self.command(Request(PRODUCT, payload))

    def test_a_request_is_carried_out_and_recorded(self) -> None:
        """With who and why, as far as the request says."""
        self.send(json.dumps({"code": "18", "who": "MES", "why": "order 7"}).encode())
        self.bench.looks(1)
        assert self.bench.models.current.product == "gear"
        assert [record.kind for record in self.told] == ["product_asked"]
        assert self.told[0].attributes["who"] == "MES"

    @pytest.mark.parametrize("payload", [b"", b"18", b"{}", b'{"code": 18}', b'{"code": ""}', b"\xff" * 4_096])
    def test_what_is_no_request_changes_nothing(self, payload: bytes) -> None:
        """And is recorded as refused."""
        self.send(payload)
        self.bench.looks(1)
        assert self.bench.decides() == 1
        assert [record.kind for record in self.told] == ["product_refused"]

    def test_a_flood_is_not_listened_to(self) -> None:
        """So many per minute; the rest leaves no record."""
        for _ in range(1_000):
            self.send(b"nonsense")
        assert len(self.told) == 120
