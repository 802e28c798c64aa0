from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.bundles.delivery_files import LIMIT_BYTES, CheckRequest, DeliveryFile
from edge_runtime.domain.delivery import Delivery, Fate, Outcome, Step, Via
from edge_runtime.domain.errors import UpdateError

DELIVERY = Delivery(Via.STICK, 5, Step.ENDED, (Fate("a.bundle", Outcome.REFUSED, what="why"),), ended_ns=9)


def test_a_delivery_is_read_as_it_was_told(tmp_path) -> None:
    """By another process, as a whole; news are told once."""
    DeliveryFile(tmp_path / "delivery", Via.STICK).tell(DELIVERY)
    reader = DeliveryFile(tmp_path / "delivery", Via.STICK)
    assert reader.read() == reader.news() == DELIVERY
    assert reader.news() is None
    assert DeliveryFile(tmp_path / "delivery", Via.NETWORK).read() is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_a_foreign_file_is_as_good_as_none(tmp_path, content) -> None:
    """Whatever stands there, the daemon does not stumble over it."""
    (tmp_path / "stick.json").write_bytes(content)
    assert DeliveryFile(tmp_path, Via.STICK).read() is None


def test_an_endless_file_is_not_read_into_memory(tmp_path) -> None:
    """A bounded look, and then it makes no sense."""
    (tmp_path / "stick.json").write_bytes(b" " * (LIMIT_BYTES * 2))
    assert DeliveryFile(tmp_path, Via.STICK).news() is None


def test_no_delivery_fails_for_want_of_an_audience(tmp_path) -> None:
    """A folder that cannot be made is nobody's trouble."""
    (tmp_path / "delivery").write_text("a file where the folder should be")
    DeliveryFile(tmp_path / "delivery", Via.STICK).tell(DELIVERY)


def test_a_check_is_asked_for_once(tmp_path) -> None:
    """However often somebody asks before the updater looks, it is one check."""
    request = CheckRequest(tmp_path / "delivery")
    assert not request.take()
    request.ask()
    request.ask()
    assert [request.take(), request.take()] == [True, False]
    assert list((tmp_path / "delivery").iterdir()) == []


def test_a_check_that_cannot_be_asked_for_is_an_error(tmp_path) -> None:
    """Said to whoever asked."""
    (tmp_path / "delivery").write_text("a file where the folder should be")
    with pytest.raises(UpdateError, match="cannot be asked for"):
        CheckRequest(tmp_path / "delivery").ask()
