from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from handseg.evaluation.comparison import (
    Row,
    compare_evaluations,
    compare_with_first,
    result_rows,
    with_hits,
)
from handseg.evaluation.metrics import compare_masks
from handseg.evaluation.run import HITS, MASK, MEDIAPIPE, NONE, Evaluation, PhotoScore


def score(name: str, iou: float, group: str | None = None) -> PhotoScore:
    """Score a photo of 10 x 10 px, all hand, of which this share is found."""
    truth = np.ones((10, 10), bool)
    found = (np.arange(100) < round(100 * iou)).reshape(10, 10)
    hands = int(iou > 0)
    return PhotoScore(name, group, hands, iou if hands else None, 0.25, compare_masks(found, truth))


def evaluation_of(ious: Mapping[str, float], **failures: str) -> Evaluation:
    return Evaluation(tuple(score(name, iou) for name, iou in ious.items()), failures)


BASE = evaluation_of({"a": 0.5, "b": 0.8, "c": 0.0, "d": 0.9})


def cells_of(rows: list[Row]) -> dict[str, tuple[str, ...]]:
    return {row.label: row.cells for row in rows}


def test_hits_come_after_what_they_are_a_part_of() -> None:
    systems = with_hits({"x": {MEDIAPIPE: BASE, MASK: BASE}, "y": {MASK: BASE}})
    assert {name: list(by_source) for name, by_source in systems.items()} == {
        "x": [MEDIAPIPE, HITS, MASK],
        "y": [MASK],
    }
    assert [photo.id for photo in systems["x"][HITS].photos] == ["a", "b", "d"]
    assert systems["x"][MASK] is BASE


def test_difference_is_taken_photo_by_photo() -> None:
    other = evaluation_of({"d": 0.9, "a": 0.7, "x": 0.1, "b": 0.7})
    difference = compare_evaluations(other, BASE)
    assert difference is not None
    assert (difference.photos, difference.better, difference.worse) == (3, 1, 1)
    assert difference.mean == pytest.approx(0.1 / 3)
    assert difference.mean_low == pytest.approx(-0.1)
    assert difference.mean_high == pytest.approx(0.2)


def test_a_steady_gain_is_certain_however_much_the_photos_vary() -> None:
    ious = np.linspace(0.1, 0.8, 8).round(2)
    before = evaluation_of({str(iou): float(iou) for iou in ious})
    after = evaluation_of({str(iou): float(iou) + 0.1 for iou in ious})
    difference = compare_evaluations(after, before)
    assert difference is not None
    assert difference.mean_low == pytest.approx(0.1)
    assert difference.mean_high == pytest.approx(0.1)
    spread = before.summary.metrics["iou"]
    assert spread["mean_high"] - spread["mean_low"] > 0.2


def test_nothing_in_common_is_no_difference() -> None:
    other = evaluation_of({"z": 0.5})
    assert compare_evaluations(other, BASE) is None
    assert compare_with_first({"x": {MASK: BASE}, "y": {MASK: other}}) == {"y": {}}


def test_only_the_others_are_compared_and_only_source_by_source() -> None:
    systems = {"x": {MEDIAPIPE: BASE}, "y": {MEDIAPIPE: BASE, MASK: BASE}, "z": {MASK: BASE}}
    differences = compare_with_first(systems)
    assert {name: list(by_source) for name, by_source in differences.items()} == {
        "y": [MEDIAPIPE],
        "z": [],
    }


def test_rows_hold_the_numbers_of_each_evaluation() -> None:
    cells = cells_of(result_rows([BASE, evaluation_of({"a": 1.0}, b="gone")]))
    assert cells["photos"] == ("4", "1")
    assert cells["missed"] == ("1", "0")
    assert cells["failed"] == ("0", "1")
    assert cells["seconds a photo"] == ("0.25", "0.25")
    assert cells["IoU"] == ("0.5500", "1.0000")
    assert cells["IoU, median"] == ("0.6500", "1.0000")
    assert cells["IoU, worst"] == ("0.0000", "1.0000")
    assert cells["interval drawn from"] == ("4 photos", "1 photos")
    assert cells["hand: recall"] == ("0.5500", "1.0000")
    assert cells["hand: support, px"] == ("400", "100")
    assert cells["background: support, px"] == ("0", "0")


def test_dashes_stand_where_no_photo_was_compared() -> None:
    cells = cells_of(result_rows([evaluation_of({}, a="gone", b="gone"), BASE]))
    assert cells.pop("photos") == ("0", "4")
    assert cells.pop("failed") == ("2", "0")
    assert {one for one, _ in cells.values()} == {"-"}
    assert all(other != "-" for _, other in cells.values())


def test_sections_begin_at_their_first_row() -> None:
    starts = [row.label for row in result_rows([BASE]) if row.starts_section]
    assert starts == [
        "photos",
        "IoU",
        "boundary F",
        "pixel accuracy",
        "GlobalAccuracy, as MATLAB",
        "hand: precision",
    ]


def test_systems_without_prompts_compare_with_the_daily_use_of_others() -> None:
    worse = evaluation_of({"a": 0.4, "b": 0.7})
    systems = {"sam": {MEDIAPIPE: BASE, MASK: BASE}, "net": {NONE: worse}}
    assert compare_with_first(systems)["net"][NONE].mean == pytest.approx(-0.1)
    turned = {"net": {NONE: worse}, "sam": {MEDIAPIPE: BASE, MASK: BASE}}
    differences = compare_with_first(turned)["sam"]
    assert list(differences) == [MEDIAPIPE]
    assert differences[MEDIAPIPE].mean == pytest.approx(0.1)
