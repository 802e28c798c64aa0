"""The HTML report, its charts and its pictures."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from eval_parts import brightness_bundle, detector_of, evaluation_of, grey, mvtec_set, save

from edge_convert.evaluate import charts
from edge_convert.evaluate.dataset import DatasetError
from edge_convert.evaluate.pictures import CardMaker
from edge_convert.evaluate.report import render, worst_passes, worst_rejects
from edge_runtime.bundles.selftest import GoldenResult
from edge_runtime.domain.verdict import Limits
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"img", "meta", "br"}


class Page(HTMLParser):
    """Collects text and attributes, and insists that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open."""
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost."""
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Empty elements of SVG."""

    def handle_data(self, data: str) -> None:
        """Text."""
        self.text += data


def page_of(bundle: Path, dataset: Path, limit: int | None = None) -> tuple[str, Page]:
    """The report's source and what a reader finds in it."""
    evaluation = evaluation_of(bundle, dataset, limit)
    with detector_of(bundle) as detector:
        html = render(evaluation, CardMaker(detector, evaluation.dataset).make)
    page = Page()
    page.feed(html)
    assert page.open == []
    return html, page


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The brightness bundle."""
    return brightness_bundle(tmp_path / "b.bundle")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Good 50 and 120, spot 180 and 250, scratch 60 (grey levels)."""
    return mvtec_set(tmp_path / "set")


def test_report_needs_nothing_from_outside(bundle: Path, dataset: Path) -> None:
    """One file that can be mailed: every picture is inside, no script, no address, and the page forbids loading any."""
    html, page = page_of(bundle, dataset)
    assert page.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert "<script" not in html
    assert set(re.findall(r"https?://[^\"' <]+", html)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in html


def test_report_names_the_bundle_and_shouts_that_it_is_not_signed(bundle: Path, dataset: Path) -> None:
    """Name, version, full digest and trust; a development bundle is announced before everything else."""
    _, page = page_of(bundle, dataset)
    evaluation = evaluation_of(bundle, dataset)
    for said in ("brightness", "0.1.0", evaluation.bundle.identity.digest, "onnxruntime, 1 thread"):
        assert said in page.text
    assert page.text.index("DEVELOPMENT") < page.text.index("Evaluation report")


def test_report_shows_the_worst_with_pictures(bundle: Path, dataset: Path) -> None:
    """The scratch that passed and the good part that did not are shown, each as taken and with its heatmap."""
    _, page = page_of(bundle, dataset)
    assert "1 of 3 defects passed" in page.text
    assert "test/scratch/a.png" in page.text
    assert "1 of 2 good parts got REVIEW or REJECT" in page.text
    assert len(page.links) == 4


def test_text_from_files_cannot_become_markup(bundle: Path, dataset: Path) -> None:
    """A folder name or a bundle's warning with angle brackets stays text."""
    save(dataset / "test" / "<b>bold<b>" / "a.png", grey(60))
    html, page = page_of(bundle, dataset)
    assert "<b>bold<b>" in page.text
    assert "<b>bold<b>" not in html
    assert "Only 2 <held-out> good images." in page.text


def test_golden_images_that_fail_stand_in_the_notice(bundle: Path, dataset: Path) -> None:
    """A golden image with another score, and one that cannot be inspected at all, are both called failures."""
    golden = (
        GoldenResult("golden/a.png", 0.3, 0.31, 1e-4, "PASS", "PASS"),
        GoldenResult("golden/b.png", 0.3, None, 1e-4, "PASS", None, "the engine failed"),
        GoldenResult("golden/c.png", 0.3, 0.3, 1e-4, "PASS", "PASS"),
    )
    evaluation = replace(evaluation_of(bundle, dataset), golden=golden)
    with detector_of(bundle) as detector:
        html = render(evaluation, CardMaker(detector, evaluation.dataset).make)
    assert html.count("this machine does not reproduce the model") == 2
    assert "golden/b.png: the engine failed" in html
    assert "1 of 3 hold on this machine" in html


def test_limited_evaluation_says_so(bundle: Path, dataset: Path) -> None:
    """Figures from a part of the dataset cannot be mistaken for figures from all of it."""
    _, page = page_of(bundle, dataset, limit=3)
    assert "Only 3 of 5 images" in page.text


def test_missing_pixel_figures_are_explained(tmp_path: Path, dataset: Path) -> None:
    """A bundle without map gives a report without heatmaps that says why."""
    _, page = page_of(brightness_bundle(tmp_path / "s.bundle", with_map=False), dataset)
    assert "The bundle gives no anomaly map." in page.text
    assert len(page.links) == 2


def test_when_nothing_is_wrong_the_nearest_are_shown(bundle: Path, tmp_path: Path) -> None:
    """Without a false pass or reject the report says none and shows the closest calls."""
    for file, level in (("good/a.png", 20), ("good/b.png", 90), ("bad/a.png", 210), ("bad/b.png", 250)):
        save(tmp_path / "set" / file, grey(level))
    rows = evaluation_of(bundle, tmp_path / "set").rows
    passes, rejects = worst_passes(rows), worst_rejects(rows)
    assert (passes.title, rejects.title) == ("False passes: none", "False rejects: none")
    assert [row.file for row in passes.rows] == ["bad/a.png", "bad/b.png"]
    assert [row.file for row in rejects.rows] == ["good/b.png", "good/a.png"]


def test_mask_is_outlined_in_the_heatmap(bundle: Path, dataset: Path) -> None:
    """The hand-drawn defect appears as a bright line with a dark rim around its place, and only there."""
    save(dataset / "test" / "spot" / "a.png", grey(90, 91, side_px=160))
    mask = np.zeros((160, 160), np.uint8)
    mask[60:100, 60:100] = 255
    save(dataset / "ground_truth" / "spot" / "a_mask.png", mask)
    evaluation = evaluation_of(bundle, dataset)
    row = next(row for row in evaluation.rows if row.file == "test/spot/a.png")
    with detector_of(bundle) as detector:
        card = CardMaker(detector, evaluation.dataset).make(row)
    picture = decode_image(base64.b64decode(card.overlay.partition(",")[2])).array.astype(int)
    rim = picture[57:63, 70:90].mean(axis=(1, 2))
    assert rim.max() - rim.min() > 100
    assert np.ptp(picture[20:40, 70:90].mean(axis=2)) < 30


def test_image_that_vanished_is_named(bundle: Path, dataset: Path) -> None:
    """A file removed between scoring and drawing is an error that names it."""
    evaluation = evaluation_of(bundle, dataset)
    (dataset / "test" / "good" / "a.png").unlink()
    with detector_of(bundle) as detector, pytest.raises(DatasetError, match=r"good/a\.png was readable"):
        CardMaker(detector, evaluation.dataset).make(evaluation.rows[0])


@pytest.mark.parametrize(
    ("good", "defect", "limits"),
    [
        ([0.1, 0.2], [0.5, 0.9], Limits(0.25, 0.4)),
        ([1.0], [1.0], Limits(1.0, 1.0)),
        ([0.0] * 500, [1e6], Limits(-5.0, 1e7)),
        ([], [3.0], Limits(0.0, 0.0)),
        ([-1e-9], [1e-9], Limits(0.0, 0.0)),
    ],
)
def test_histogram_holds_every_part_and_both_limits(good, defect, limits) -> None:
    """Whatever the range, the drawing is well-formed, stays inside its frame and shows both limits."""
    root = ET.fromstring(str(charts.score_histogram(good, defect, limits)))  # noqa: S314 (made here)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    bars = [element for element in root if element.tag.endswith("rect")]
    assert len(bars) >= 1 + bool(good) + bool(defect)
    for bar in bars:
        x, y, w, h = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
    assert sum(element.attrib.get("class") == "limit" for element in root) == 2
