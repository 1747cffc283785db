from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handseg.annotate import review as module
from handseg.annotate.frames import PhotoFolder
from handseg.annotate.review import Review, doubt_of
from handseg.io.files import save_image


def record(index: int, *hands: tuple[float, float | None], without_mask: int = 0) -> dict[str, Any]:
    """Make a record of hands with predicted IoU and agreement."""
    notes = [{"category_id": 1, "score": score, "handedness": "left"} for score, _ in hands]
    return {
        "index": index,
        "annotations": notes,
        "agreements": [agreed for _, agreed in hands],
        "without_mask": without_mask,
    }


def test_doubts_come_as_a_person_should_look_at_them() -> None:
    records = [
        record(0, (0.95, 0.99)),
        record(1, (0.95, 0.8), (0.99, 0.99)),
        record(2),
        record(3, (0.6, 0.99)),
        record(4, (0.99, None)),
        record(5, without_mask=1),
        {"index": 6, "error": "no memory"},
    ]
    doubts = sorted(map(doubt_of, records))
    assert [doubt.index for doubt in doubts] == [6, 2, 5, 3, 1, 0, 4]
    reasons = [" ".join(doubt.reasons) for doubt in doubts]
    assert reasons == [
        "failed: no memory",
        "no hand found",
        "1 found, but with an empty mask",
        "left: predicted IoU 0.60",
        "left 1: a wider box alone gives another mask, IoU 0.80",
        "",
        "",
    ]
    assert doubts[4].certainty == pytest.approx(0.76)


@pytest.fixture
def photo_set(tmp_path: Path) -> PhotoFolder:
    for number in range(6):
        save_image(np.full((30, 40, 3), 40 * number, np.uint8), tmp_path / f"in/<p>{number}.png")
    return PhotoFolder(str(tmp_path / "in"), tmp_path / "out")


def test_the_page_holds_all_that_it_shows(
    photo_set: PhotoFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHOWN", 4)
    review = Review()
    for index in range(4):
        review.add(record(index, (0.6 + 0.1 * index, None)))
    review.add(record(4))
    review.add({"index": 5, "error": "<b>bad</b>"})
    for index in range(5):
        save_image(np.zeros((8, 8, 3), np.uint8), tmp_path / f"thumbnails/<p>{index}.jpg")
    review.write(tmp_path / "review.html", photo_set, tmp_path / "thumbnails")
    page = (tmp_path / "review.html").read_text()
    assert re.findall(r">&lt;p&gt;(\d)</(?:a|span)>", page) == ["5", "4", "0", "1"]
    assert "6 photos: 1 failed, 1 without a hand, 3 more doubtful" in page
    assert "The 4 least certain are shown" in page
    assert "&lt;b&gt;bad" in page
    assert page.count("data:image/jpeg;base64,") == 3
    assert not re.search(r"https?://|<script", page)


def test_a_name_that_is_not_utf8_is_escaped_and_its_link_works(tmp_path: Path) -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    save_image(image, tmp_path / "in" / os.fsdecode(b"a \xff.png"))
    review = Review()
    review.add(record(0))
    frames = PhotoFolder(str(tmp_path / "in"), tmp_path / "out")
    review.write(tmp_path / "review.html", frames, tmp_path / "thumbnails")
    page = (tmp_path / "review.html").read_text(encoding="utf-8")
    assert r'<a href="images/a%20%FF.png">a \udcff</a>' in page
