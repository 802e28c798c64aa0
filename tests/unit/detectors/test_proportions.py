from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from brightest import SPEC, write_brightest
from bundle_parts import make_draft
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.app.inspection import Inspector, load_inspector
from edge_runtime.bundles.writer import MemoryPayloads, manifest_of
from edge_runtime.config.engine import EngineSettings
from edge_runtime.detectors.proportions import (
    LARGEST_FACTOR,
    NARROWEST,
    WIDEST,
    Proportions,
    aspects_to_note,
    proportions_of,
)
from edge_runtime.domain.errors import ImageError
from edge_runtime.domain.inspection import InspectionFault
from edge_runtime.domain.model_bundle import DetectorKind, Fit, GoldenImage
from edge_runtime.domain.verdict import Reason
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.looking import look
from edge_runtime.vision.encode import encode_png

SIDES = st.integers(1, 20_000)
SIZES = st.integers(32, 4_000)


def golden_of(*sizes: tuple[int, int]) -> dict[str, bytes]:
    """Grey PNGs of these widths and heights, by payload name."""
    return {f"g{n}.png": encode_png(np.full((h, w), 51, np.uint8)) for n, (w, h) in enumerate(sizes)}


def found(payloads: dict[str, bytes], **parameters: float) -> Proportions | None:
    """What a bundle with these golden images demands."""
    golden = tuple(GoldenImage(name, 0.2, 0.01, "PASS") for name in payloads)
    content = {"m.onnx": b"m", **payloads}
    draft = make_draft(
        kind=DetectorKind.GENERIC,
        input_spec=SPEC,
        graphs={"model": "m.onnx"},
        outputs={"score": "score"},
        parameters=parameters,
        golden=golden,
    )
    return proportions_of(manifest_of(draft, content), MemoryPayloads(content))


@pytest.fixture(scope="module", params=[Fit.STRETCH, Fit.SHORTER_SIDE])
def inspector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    """A bundle whose golden image is 32×24, on an engine."""
    path = write_brightest(tmp_path_factory.mktemp("bundle") / "p.bundle", (32, 24), fit=request.param)
    with load_inspector(path, EngineSettings(name="onnxruntime", threads=1), "development") as opened:
        return opened


@pytest.mark.parametrize("size", [(640, 240), (32, 12), (24, 24), (24, 32), (1920, 1080)])
def test_a_camera_set_otherwise_never_gets_a_score(inspector: Inspector, size: tuple[int, int]) -> None:
    """Half the height, a square, upright or 16:9 instead of 4:3: refused, with both sizes and what to do."""
    width, height = size
    with pytest.raises(ImageError) as caught:
        inspector.inspect((np.full((height, width), 51, np.uint8),))
    assert f"{width}×{height}" in caught.value.what
    assert "32×24" in caught.value.what
    assert "camera" in caught.value.action


def test_the_part_gets_a_fault_that_says_what_to_do(inspector: Inspector) -> None:
    """`image_unexpected` is no verdict of the model: the recipe's fail-safe decides, and the record tells why."""
    found, anomaly_map = look(inspector.detector, "p-1", (np.zeros((12, 32), np.uint8),), SimulatedClock())
    assert isinstance(found, InspectionFault)
    assert found.reason is Reason.IMAGE_UNEXPECTED
    assert "32×12" in found.detail
    assert "set the camera's width and height" in found.detail
    assert anomaly_map is None


@pytest.mark.parametrize("size", [(32, 24), (16, 12), (1280, 1024), (640, 472), (33, 24)])
def test_the_scale_of_a_frame_and_some_rows_do_not_matter(inspector: Inspector, size: tuple[int, int]) -> None:
    """Another resolution of nearly the same proportions is scored as before."""
    width, height = size
    assert inspector.inspect((np.full((height, width), 51, np.uint8),)).score == pytest.approx(0.2, abs=0.01)


def test_where_nothing_tells_any_proportions_are_taken() -> None:
    """No golden image, golden images of mixed proportions, or damaged ones: the check is not there."""
    assert found({}) is None
    assert found(golden_of((40, 30), (30, 40))) is None
    assert found({"g.png": b"no image"}) is None


def test_the_range_that_was_taught_counts_beside_the_golden_images() -> None:
    """A folder of mixed proportions is remembered, even where chance made all golden images alike."""
    noted = found(golden_of((40, 30)), **{NARROWEST: 0.75, WIDEST: 1.0})
    assert noted is not None
    assert (noted.narrowest, noted.widest) == (0.75, 40 / 30)
    assert noted.hold(30, 40)
    assert not noted.hold(30, 60)


def test_only_images_that_differ_are_noted() -> None:
    """A bundle of a uniform folder says nothing that its golden images do not show."""
    assert aspects_to_note([]) == {}
    assert aspects_to_note([4 / 3, 640 / 480]) == {}
    assert aspects_to_note([2.0, 1.0, 0.5]) == {NARROWEST: 0.5, WIDEST: 2.0}


def test_a_golden_image_that_is_stored_on_its_side_counts_as_it_is_seen() -> None:
    """EXIF orientation turns the frame at decoding, so it turns its proportions too."""
    plain = golden_of((40, 20))["g0.png"]
    block = b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHIHHI", 1, 274, 3, 1, 6, 0, 0)
    chunk = b"eXIf" + block
    packed = struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    turned = found({"g.png": plain[:33] + packed + plain[33:]})
    assert turned is not None
    assert turned.example_px == (20, 40)


@given(width=SIDES, height=SIDES, times=st.integers(1, 8))
def test_what_was_taught_holds_at_any_scale(width: int, height: int, times: int) -> None:
    """A frame with the proportions of an image that was taught is never refused."""
    taught = Proportions(width / height, width / height, (width, height))
    assert taught.hold(width * times, height * times)


@given(width=SIDES, height=SIDES, other_width=SIDES, other_height=SIDES)
def test_beyond_the_factor_is_refused_either_way(width: int, height: int, other_width: int, other_height: int) -> None:
    """Whether too wide or too high: the departure alone decides, and turning both pictures changes nothing."""
    taught = Proportions(width / height, width / height, (width, height))
    upright = Proportions(height / width, height / width, (height, width))
    departs = max(other_width * height / (other_height * width), other_height * width / (other_width * height))
    if abs(departs - LARGEST_FACTOR) > 1e-9:
        assert taught.hold(other_width, other_height) is (departs < LARGEST_FACTOR)
        assert upright.hold(other_height, other_width) is (departs < LARGEST_FACTOR)


@given(taught=st.tuples(st.integers(24, 4_000), st.integers(24, 4_000)), asked=st.tuples(SIZES, SIZES))
def test_a_size_that_is_fitted_holds_and_is_left_alone_where_it_held(taught, asked) -> None:
    """For pictures that are drawn for a bundle, as a soak's are."""
    aspect = taught[0] / taught[1]
    proportions = Proportions(aspect, aspect, taught)
    fitted = proportions.fitted(*asked)
    assert proportions.hold(*fitted)
    assert min(fitted) == min(asked)
    assert fitted == asked or not proportions.hold(*asked)
