"""Fingers measured on the page, with the bundled model and a rendered palm with a coin."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import streamlit as st
from driven_page import PAGE, as_file, downloads, run, texts
from measured_scenes import palm_with_coin
from PIL import Image
from streamlit.testing.v1 import AppTest

from handseg.app import downloads as files
from handseg.app.brush import Stroke
from handseg.measure import finger_row, hand_dict
from handseg.measure.report import COLUMNS
from handseg.segmenter import HandSegmenter

SIZES = ["Sizes (CSV)", "Sizes (JSON)", "Measured (JPEG)"]


@pytest.fixture
def page(segmenter: HandSegmenter, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """Open the page with the palm and its coin of 83 px."""
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: segmenter)
    st.cache_resource.clear()
    opened = AppTest.from_file(str(PAGE), default_timeout=60)
    run(opened)
    upload(opened, palm_with_coin())
    yield opened
    st.cache_resource.clear()


def upload(page: AppTest, photo: np.ndarray) -> None:
    page.file_uploader(key="photos").set_value([as_file(Image.fromarray(photo), "palm.png")])
    run(page)


def widths(page: AppTest) -> dict[str, float]:
    """Return the widths in the table, mm."""
    (table,) = page.dataframe
    pairs = zip(table.value["finger"], table.value["width mm"], strict=True)
    return {finger: float(width.split()[0]) for finger, width in pairs}


def mm_per_px(page: AppTest) -> Any:
    (field,) = (one for one in page.number_input if one.label.startswith("mm a pixel"))
    return field


def test_nothing_is_measured_until_a_coin_is_chosen(page: AppTest) -> None:
    assert not page.dataframe
    assert not set(SIZES) & set(downloads(page))
    assert not page.error


def test_a_coin_gives_a_table_and_files(page: AppTest, segmenter: HandSegmenter) -> None:
    page.selectbox(key="coin").select("2 euro")
    run(page)
    measured = segmenter.measure(palm_with_coin(), scale="2 euro")
    assert widths(page) == {
        finger.name: pytest.approx(finger.width_mm, abs=0.06) for finger in measured
    }
    (table,) = page.dataframe
    sizes = [finger_row(finger)["ring_eu"] for finger in measured]
    np.testing.assert_allclose(table.value["EU"].astype(int), sizes, atol=1)
    assert downloads(page)[-3:] == SIZES
    assert not page.error


def test_every_scale(page: AppTest) -> None:
    page.selectbox(key="coin").select("2 euro")
    run(page)
    by_coin = widths(page)
    page.radio(key="scale").set_value("Diameter")
    run(page)
    assert not page.dataframe
    page.number_input(key="diameter").set_value(25.75)
    run(page)
    assert widths(page) == by_coin
    page.radio(key="scale").set_value("mm a pixel")
    run(page)
    mm_per_px(page).set_value(25.75 / 83)
    run(page)
    assert widths(page)["ring"] == pytest.approx(by_coin["ring"], rel=0.1)
    page.radio(key="scale").set_value("Bank card")
    run(page)
    assert "**palm.png** cannot be measured: no card with all four sides is found" in texts(
        page.error
    )
    assert not page.dataframe


def test_a_loose_ring_is_larger(page: AppTest) -> None:
    page.selectbox(key="coin").select("2 euro")
    run(page)
    fitted = float(page.dataframe[0].value["ring mm"][3].split()[0])
    page.radio(key="fit").set_value("loose")
    run(page)
    assert float(page.dataframe[0].value["ring mm"][3].split()[0]) == pytest.approx(
        fitted + 0.4, abs=0.11
    )


def test_mm_a_pixel_are_those_of_one_photo(page: AppTest, photos: dict[str, np.ndarray]) -> None:
    page.radio(key="scale").set_value("mm a pixel")
    run(page)
    mm_per_px(page).set_value(0.8)
    run(page)
    assert page.dataframe
    upload(page, photos["35_pic00033"])
    run(page)
    assert mm_per_px(page).value is None
    assert not page.dataframe


def test_a_finger_that_is_refused_is_named_with_the_reason(
    page: AppTest, photos: dict[str, np.ndarray]
) -> None:
    upload(page, photos["35_pic00033"])
    page.radio(key="scale").set_value("mm a pixel")
    run(page)
    mm_per_px(page).set_value(0.8)
    run(page)
    assert list(widths(page)) == ["index"]
    assert "- **ring**: the finger is bent" in texts(page.markdown)


def test_what_is_painted_is_measured(page: AppTest, segmenter: HandSegmenter) -> None:
    page.selectbox(key="coin").select("2 euro")
    run(page)
    before = widths(page)
    measured = segmenter.measure(palm_with_coin(), scale="2 euro")
    line = measured["index"].width_line
    away = np.linalg.norm(line - measured["middle"].width_line.mean(0), axis=1)
    across = np.diff(line, axis=0)[0]
    along = np.array([-across[1], across[0]])
    side = line[away.argmax()] + np.array([[-1], [1]]) * along
    (photo,) = page.session_state.workspace.photos.values()
    (entry,) = photo.active(4)
    photo.paint(entry, Stroke(side.astype(np.float32), radius=5))
    run(page)
    after = widths(page)
    assert after["index"] == pytest.approx(before["index"] + 5 * 25.75 / 83, abs=0.5)
    assert after["little"] == before["little"]
    photo.undo()
    run(page)
    assert widths(page) == before


def test_several_hands_are_measured_one_at_a_time(page: AppTest) -> None:
    palm = palm_with_coin()
    upload(page, np.concatenate([palm, palm[:, ::-1]], axis=1))
    (hand,) = [radio for radio in page.radio if radio.label == "Hand to measure"]
    page.radio(key="scale").set_value("mm a pixel")
    run(page)
    mm_per_px(page).set_value(0.3)
    run(page)
    first = widths(page)
    page.radio(key=hand.key).set_value(1)
    run(page)
    assert widths(page)["middle"] == pytest.approx(first["middle"], rel=0.05)


def test_files_are_those_of_handseg_measure(segmenter: HandSegmenter) -> None:
    values = hand_dict(segmenter.measure(palm_with_coin(), scale="2 euro"))
    table = list(csv.DictReader(io.StringIO(files.sizes("palm.png", values["fingers"]).decode())))
    assert tuple(table[0]) == COLUMNS
    assert [row["file"] for row in table] == ["palm.png"] * 5
    assert float(table[3]["width_mm"]) == values["fingers"][3]["width_mm"]
