from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_runtime.broker.properties import RowProperties

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=300)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8), st.none() | st.integers(1, 2**32 - 1))
def test_packed_here_they_are_what_paho_would_have_packed(attributes, expiry_s) -> None:
    """Read back with paho's own parser: the same values, the whole of the bytes and none beyond."""
    packed = RowProperties(attributes, expiry_s).pack()
    read = Properties(PacketTypes.PUBLISH)
    _, length = read.unpack(packed + b"the payload")
    assert length == len(packed)
    assert (read.ContentType, read.PayloadFormatIndicator) == ("application/json", 1)
    assert getattr(read, "UserProperty", []) == attributes
    assert getattr(read, "MessageExpiryInterval", None) == expiry_s
