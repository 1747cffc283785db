"""Reports of evaluations, read back: JSON, CSV and the page."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from handseg.evaluation.contact_sheet import draw_case
from handseg.evaluation.metrics import compare_masks
from handseg.evaluation.plots import draw_plots
from handseg.evaluation.report import write_report
from handseg.evaluation.run import MASK, MEDIAPIPE, Evaluation, PhotoScore

SHARES = {"ann/1": 0.9, "ann/2": 0.6, "ben/1": 0.0, "ben/2": 0.8}
FILES = {"report.html", "summary.json", "per_photo.csv", "worst.jpg"}


def evaluation(gain: float = 0.0, failures: dict[str, str] | None = None) -> Evaluation:
    """Evaluate photos of two people: fixed shares plus `gain` of each hand found, one missed."""
    photos, cases = [], []
    for name, share in SHARES.items():
        image = np.full((30, 40, 3), 128, np.uint8)
        truth, found = np.zeros((2, 30, 40), bool)
        truth[5:25, 10:30] = True
        found[5:25, 10 : 10 + round(20 * (share + gain))] = bool(share)
        metrics = compare_masks(found, truth)
        hands = int(found.any())
        expected = 0.9 if hands else None
        photos.append(PhotoScore(name, name[:3], hands, expected, 0.5, metrics))
        cases.append(draw_case(name, metrics.iou, image, truth, found))
    cases.sort(key=lambda case: case.iou)
    return Evaluation(tuple(photos), failures or {}, tuple(cases), seed=5)


class Page(HTMLParser):
    """Collects the addresses, text and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report two systems, one with a failure and a name that must not become markup."""
    output = tmp_path_factory.mktemp("report")
    systems = {
        "base": {MEDIAPIPE: evaluation(), MASK: evaluation(0.05)},
        "runs/<b>&_1": {MEDIAPIPE: evaluation(0.1, {"cat/1": "cannot <read> it"})},
    }
    write_report(systems, output, {"model": "red", "data": "hands/<i>val</i>"})
    return output


def test_folder_holds_what_is_promised_and_nothing_else(report: Path) -> None:
    assert {path.name for path in report.iterdir()} == FILES
    with Image.open(report / "worst.jpg") as picture:
        assert picture.width > 1000


def test_json_holds_the_numbers(report: Path) -> None:
    summary = json.loads((report / "summary.json").read_text())
    assert summary["model"] == "red"
    assert summary["bootstrap"] == {"resamples": 2000, "confidence": 0.95}
    assert {name: list(one) for name, one in summary["systems"].items()} == {
        "base": ["mediapipe", "hits", "mask"],
        "runs/<b>&_1": ["mediapipe", "hits"],
    }
    expected = evaluation().summary
    base = summary["systems"]["base"]["mediapipe"]
    assert (base["photos"], base["missed"], base["failed"]) == (4, 1, {})
    assert (base["resampled"], base["units"], base["seed"]) == ("groups", 2, 5)
    assert base["metrics"] == expected.metrics
    assert base["confusion"] == expected.counts.confusion
    assert base["classes"]["hand"]["recall"] == pytest.approx(2.3 / 4)
    assert base["classes"]["hand"]["support"] == 1600
    assert base["seconds_per_photo"] == 0.5
    hits = summary["systems"]["base"]["hits"]
    assert (hits["photos"], hits["missed"]) == (3, 0)
    assert hits["metrics"]["iou"]["mean"] == pytest.approx(2.3 / 3)
    tuned = summary["systems"]["runs/<b>&_1"]["mediapipe"]
    assert tuned["failed"] == {"cat/1": "cannot <read> it"}
    gain = summary["against_the_first"]["runs/<b>&_1"]["mediapipe"]
    assert gain["mean"] == pytest.approx(0.075)
    assert (gain["photos"], gain["better"], gain["worse"]) == (4, 3, 0)


def test_csv_has_a_row_a_photo_system_and_prompt_source(report: Path) -> None:
    with (report / "per_photo.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = [(row["system"], row["prompts"], row["photo"]) for row in rows]
    assert keys == [
        (system, source, photo)
        for system, source in (("base", MEDIAPIPE), ("base", MASK), ("runs/<b>&_1", MEDIAPIPE))
        for photo in SHARES
    ]
    for row, photo in zip(rows, evaluation().photos, strict=False):
        assert float(row["iou"]) == photo.metrics.iou
        assert int(row["false_negatives"]) == photo.metrics.counts.false_negatives
        assert float(row["seconds"]) == 0.5
        assert row["group"] == photo.id[:3]
        assert row["predicted_iou"] == ("" if photo.id == "ben/1" else "0.9")
    assert [row["missed"] for row in rows[:4]] == ["0", "0", "1", "0"]


def test_page_needs_nothing_but_itself(report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?:|url\(|@import", text)
    kinds = {"svg+xml": 0, "jpeg": 0}
    for address in page.addresses:
        kind, _, content = address.removeprefix("data:image/").partition(";base64,")
        content = base64.b64decode(content)
        if kind == "jpeg":
            assert max(Image.open(io.BytesIO(content)).size) > 400
        else:
            assert ElementTree.fromstring(content).tag.endswith("svg")
        kinds[kind] += 1
    # Photo and drawing for four photos of three evaluations, and each plot once.
    assert kinds == {"jpeg": 3 * 4 * 2, "svg+xml": 5}


def test_page_shows_the_numbers_and_what_failed(report: Path) -> None:
    text = Page((report / "report.html").read_text(encoding="utf-8")).text
    assert "hands/<i>val</i>" in text
    assert f"{2.3 / 4:.3f} mean IoU of the hand" in text
    assert f"{2.6 / 4:.3f} mean IoU of the hand" in text
    assert "4 photos, 1 missed, 0 failed" in text
    assert "2 groups" in text
    assert "IoU +0.0750" in text
    assert "better on 3 and worse on 0 of 4 photos" in text
    assert "57.50 % 920" in text  # of hand pixels, predicted as hand
    assert "42.50 % 680" in text
    assert "cat/1 : cannot <read> it" in text
    assert "IoU 0.600" in text
    assert '"model": "red"' in text


def test_names_are_no_markup(report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    assert "runs/&lt;b&gt;&amp;_1" in text
    assert "runs/<b>&_1" in Page(text).text
    assert not re.search("<i>|<read>|<b>&", text)


def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff")
    one = evaluation(failures={f"{name}/1": "cut short"})
    photos = (replace(one.photos[0], id=name), *one.photos[1:])
    write_report({"tuned": {MASK: replace(one, photos=photos)}}, tmp_path, {"data": name})
    with (tmp_path / "per_photo.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["photo"] == r"a\udcff"
    assert r"a\udcff/1" in (tmp_path / "report.html").read_text(encoding="utf-8")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["systems"]["tuned"][MASK]["failed"] == {f"{name}/1": "cut short"}


def test_same_evaluations_give_the_same_page(tmp_path: Path) -> None:
    for name in "ab":
        write_report({"base": {MEDIAPIPE: evaluation()}}, tmp_path / name)
    pages = [(tmp_path / name / "report.html").read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


def test_one_system_is_compared_with_none(tmp_path: Path) -> None:
    write_report({"base": {MEDIAPIPE: evaluation()}}, tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["against_the_first"] == {}
    assert "Against base" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_system_that_failed_everywhere_stays_in_the_report(tmp_path: Path) -> None:
    broken = Evaluation((), {name: "out of memory" for name in SHARES})
    write_report({"broken": {MEDIAPIPE: broken}, "base": {MEDIAPIPE: evaluation()}}, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    systems = summary["systems"]
    assert systems["broken"]["mediapipe"].keys() == systems["base"]["mediapipe"].keys()
    assert systems["broken"]["mediapipe"]["photos"] == 0
    assert systems["broken"]["mediapipe"]["metrics"] is None
    assert len(systems["broken"]["mediapipe"]["failed"]) == 4
    assert summary["against_the_first"] == {"base": {}}
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "No photo could be compared; 4 failed." in text


def test_misses_alone_have_a_report(tmp_path: Path) -> None:
    missed = Evaluation(tuple(photo for photo in evaluation().photos if not photo.hands))
    write_report({"base": {MEDIAPIPE: missed}}, tmp_path)
    sources = json.loads((tmp_path / "summary.json").read_text())["systems"]["base"]
    assert (sources["mediapipe"]["photos"], sources["mediapipe"]["missed"]) == (1, 1)
    assert (sources["hits"]["photos"], sources["hits"]["metrics"]) == (0, None)


def test_evaluation_without_a_photo_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one photo"):
        write_report({"base": {MEDIAPIPE: Evaluation((), {"set/a": "gone"})}}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_plots_are_those_that_have_something_to_show() -> None:
    missed = Evaluation(tuple(photo for photo in evaluation().photos if not photo.hands))
    assert len(draw_plots([{MEDIAPIPE: missed}])) == 2  # overlap, contour against overlap
    assert len(draw_plots([{MEDIAPIPE: evaluation()}])) == 4
    assert len(draw_plots([{MEDIAPIPE: evaluation()}, {MASK: evaluation()}])) == 5


def test_dots_of_a_large_set_take_little_room() -> None:
    photos = evaluation().photos
    many = draw_plots([{MEDIAPIPE: Evaluation(photos * 1000)}])
    assert all(len(plot.svg) < 400_000 for plot in many)


def test_curve_tells_solid_from_dotted_only_where_both_are() -> None:
    both = draw_plots([{MEDIAPIPE: evaluation(), MASK: evaluation()}])[0]
    assert "dotted" in both.caption
    assert "dotted" not in draw_plots([{MASK: evaluation()}])[0].caption
