"""The page without a browser; everything red is a hand."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import streamlit as st
from driven_page import PAGE, File, as_file, downloads, run, texts
from PIL import Image
from red_hands import draw_photo, red_segmenter
from red_network import red_labeller
from streamlit.testing.v1 import AppTest

from handseg.app.frame import Frame
from handseg.app.launch import PageSettings
from handseg.errors import ModelError
from handseg.landmarks import HandBox
from handseg.pipeline.interface import Segmenter
from handseg.pipeline.semantic import SemanticSegmenter
from handseg.segmenter import HandSegmenter

LARGE, SMALL = (50, 50, 30, 20), (130, 90, 15, 15)

Open = Callable[..., AppTest]


def png(*ellipses: tuple[int, int, int, int], name: str = "photo.png") -> File:
    return as_file(Image.fromarray(draw_photo(*ellipses)[0]), name)


@pytest.fixture
def segmenter() -> HandSegmenter:
    return red_segmenter()


@pytest.fixture
def decoded(segmenter: HandSegmenter, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the number of hands in each call of the model."""
    calls: list[int] = []
    decode = segmenter.model.decode

    def noted(embeddings: Any, prompts: Any) -> Any:
        calls.append(len(prompts))
        return decode(embeddings, prompts)

    monkeypatch.setattr(segmenter.model, "decode", noted)
    return calls


@pytest.fixture
def open_page(segmenter: HandSegmenter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open the page with settings and photos.

    A model named "gone" cannot be loaded; one named "baseline" labels whole photos.
    """

    def from_pretrained(name: str, **_: Any) -> Segmenter:
        if name == "gone":
            raise ModelError("no such model: gone")
        if name == "baseline":
            return SemanticSegmenter(red_labeller())
        return segmenter

    monkeypatch.setattr(HandSegmenter, "from_pretrained", from_pretrained)

    def opened(*photos: File, **settings: Any) -> AppTest:
        for name, value in PageSettings(**settings).to_environment().items():
            monkeypatch.setenv(name, value)
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        run(page)
        if photos:
            page.file_uploader(key="photos").set_value(list(photos))
            run(page)
        return page

    st.cache_resource.clear()
    yield opened
    st.cache_resource.clear()


FILES = [
    "Cut-out (PNG)",
    "Cropped (PNG)",
    "Mask (PNG)",
    "Outline (SVG)",
    "Overlay (JPEG)",
    "Numbers (JSON)",
]


def test_an_empty_page_asks_for_photos(open_page: Open) -> None:
    page = open_page()
    assert page.title[0].value == "handseg"
    assert not downloads(page)
    assert not page.error


@pytest.mark.parametrize("name", ["Open hand", "Two hands", "Dark room"])
def test_examples(open_page: Open, name: str) -> None:
    page = open_page()
    page.button_group(key="example").select(name)
    run(page)
    assert downloads(page) == FILES
    assert not page.error


def test_a_photo_gives_its_files_and_says_what_was_found(open_page: Open) -> None:
    page = open_page(png(LARGE, SMALL))
    assert downloads(page) == FILES
    assert "Hand 1, left" in texts(page.caption)
    assert "Hand 2, left" in texts(page.caption)
    assert not page.error
    assert not page.warning


def test_words_stand_under_the_result_and_numbers_in_a_table(open_page: Open) -> None:
    page = open_page(png(LARGE, (150, 90, 15, 15)))
    said = texts(page.caption)
    assert "Hand 1, left: **check this hand**: the outline is unsure" in said
    assert "unsure; cut by the photo's edge" in said
    assert "predicted IoU" not in said
    (numbers,) = [one for one in page.expander if one.label == "Numbers"]
    assert numbers.table[0].value["Predicted IoU"].tolist() == ["0.75", "0.75"]


def test_no_hand_is_a_warning_and_no_error(open_page: Open) -> None:
    page = open_page(png())
    assert "No hand found in **photo.png**" in texts(page.warning)
    assert downloads(page) == FILES
    assert not page.error


def test_what_reading_a_photo_says_is_shown_by_it_once(open_page: Open) -> None:
    picture, stream = Image.fromarray(draw_photo(LARGE)[0]), io.BytesIO()
    picture.save(stream, "GIF", save_all=True, append_images=[picture.rotate(90)])
    page = open_page(("wave.gif", stream.getvalue(), "image/gif"), png(SMALL, name="b.png"))
    said = ["**wave.gif** has 2 frames or pages: only the first is used"]
    for place, expected in ((0, said), (1, []), (0, said)):
        page.selectbox(key="chosen").select_index(place)
        run(page)
        assert [one.value for one in page.warning] == expected


def test_several_photos(open_page: Open, decoded: list[int]) -> None:
    bad = ("bad.png", b"nothing", "image/png")
    page = open_page(png(LARGE, name="a.png"), bad, png(name="b.png"), png(SMALL, name="c.png"))
    assert "4 photos: 2 with hands, 1 without (b.png), 1 failed" in texts(page.caption)
    assert "**bad.png** cannot be used" in texts(page.error)
    chosen = page.selectbox(key="chosen")
    assert chosen.options == ["a.png", "b.png", "c.png"]
    assert downloads(page) == [*FILES, "All 3 photos (ZIP)"]
    chosen.select_index(1)
    run(page)
    assert "b.png" in texts(page.warning)
    assert decoded == [1, 1]


def test_photos_of_one_name_can_both_be_chosen(open_page: Open) -> None:
    page = open_page(png(LARGE, name="image.png"), png(name="image.png"))
    chosen = page.selectbox(key="chosen")
    assert chosen.options == ["image.png", "image.png (2)"]
    for place, empty in ((0, False), (1, True), (0, False)):
        page.selectbox(key="chosen").select_index(place)
        run(page)
        assert ("image.png" in texts(page.warning)) == empty


def test_only_bad_files(open_page: Open) -> None:
    page = open_page(("notes.png", b"Dear diary", "image/png"))
    assert "**notes.png** cannot be used" in texts(page.error)
    assert not downloads(page)


def test_a_removed_photo_is_gone(open_page: Open) -> None:
    page = open_page(png(LARGE))
    page.file_uploader(key="photos").set_value([])
    run(page)
    assert not downloads(page)


def test_no_more_photos_than_allowed(open_page: Open) -> None:
    page = open_page(png(LARGE, name="a.png"), png(SMALL, name="b.png"), max_photos=1)
    assert "2 photos, of which the first 1" in texts(page.warning)
    assert downloads(page) == FILES


# Settings


def test_looks_do_not_ask_the_model_again(open_page: Open, decoded: list[int]) -> None:
    page = open_page(png(LARGE, SMALL))
    assert decoded == [2]
    page.radio(key="edge").set_value("hard")
    run(page)
    page.radio(key="background").set_value("Colour")
    run(page)
    page.color_picker(key="colour").set_value("#0000ff")
    run(page)
    assert downloads(page)[0] == "Composite (PNG)"
    assert decoded == [2]


def test_max_hands(open_page: Open, decoded: list[int]) -> None:
    page = open_page(png(LARGE, SMALL))
    for most, shown in [(1, False), (2, True)]:
        page.slider(key="max_hands").set_value(most)
        run(page)
        assert ("Hand 2" in texts(page.caption)) == shown
    assert decoded == [2]


def test_a_picture_as_background(open_page: Open) -> None:
    page = open_page(png(LARGE))
    page.radio(key="background").set_value("Picture")
    run(page)
    assert "Without a picture" in texts(page.info)
    assert downloads(page)[0] == "Cut-out (PNG)"
    page.file_uploader(key="picture").set_value(png(name="back.png"))
    run(page)
    assert downloads(page)[0] == "Composite (PNG)"
    page.file_uploader(key="picture").set_value(("back.png", b"nothing", "image/png"))
    run(page)
    assert "**back.png** cannot be the background" in texts(page.error)
    assert downloads(page)[0] == "Cut-out (PNG)"


def test_a_model_that_cannot_be_loaded_is_an_error(open_page: Open) -> None:
    page = open_page()
    page.selectbox(key="model").select("Other")
    run(page)
    assert "Name a model" in texts(page.info)
    page.text_input(key="own_model").set_value("gone")
    run(page)
    assert "The model cannot be loaded: no such model: gone" in texts(page.error)


def test_another_model_cuts_out_anew(open_page: Open, decoded: list[int]) -> None:
    page = open_page(png(LARGE), models=("one", "other"))
    page.selectbox(key="model").select("other")
    run(page)
    assert decoded == [1, 1]
    page.selectbox(key="model").select("one")
    run(page)
    assert decoded == [1, 1]


def test_a_model_without_prompts_has_nothing_to_click_on(open_page: Open) -> None:
    page = open_page(png(LARGE, SMALL), png(name="empty.png"), models=("handseg-lite", "baseline"))
    assert "Correct the mask" in [one.label for one in page.expander]
    page.selectbox(key="model").set_value("baseline")
    run(page)
    assert not page.exception
    assert not page.error
    assert "Correct the mask" not in [one.label for one in page.expander]
    # Both red patches are one hand, as such a network does not separate hands.
    assert any("2 photos: 1 with hands, 1 without" in one.value for one in page.caption)
    assert any(one.value.startswith("Hand 1") and "Hand 2" not in one.value for one in page.caption)
    page.selectbox(key="model").set_value("handseg-lite")
    run(page)
    assert any("Hand 2" in one.value for one in page.caption)


def test_strangers_name_no_models_or_folders(open_page: Open) -> None:
    page = open_page(own_models=False)
    assert not page.selectbox
    assert not page.text_input
    page = open_page(own_models=False, models=("one", "other"))
    assert page.selectbox(key="model").options == ["one", "other"]
    assert not page.text_input


# Corrections and the true mask


def key_of(page: AppTest) -> str:
    """Return the id of the only photo."""
    return next(iter(page.session_state.workspace.photos))


def test_a_suspected_hand_is_one_click_away(
    open_page: Open, segmenter: HandSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, width, height = SMALL
    box = np.array([x - width, y - height, x + width, y + height], np.float32)
    down = np.array([0, 1], np.float32)
    places = [HandBox(box, 0.5, 0.5, down), HandBox(box * 0.4, 0.1, 0.5, down)]
    monkeypatch.setattr(segmenter.landmarker, "suspect", lambda _: places)
    monkeypatch.setattr(segmenter.landmarker, "find", lambda *_: [])
    page = open_page(png(LARGE, SMALL))
    key = key_of(page)
    assert page.warning
    page.button(key=f"suspected-{key}-A-0").click()
    run(page)
    assert not page.warning
    (entry,) = page.session_state.workspace.photos[key].entries
    assert entry.box == tuple(box.tolist())
    assert not [button for button in page.button if "is a hand" in button.label]


def test_remove_undo_and_start_over(open_page: Open, decoded: list[int]) -> None:
    page = open_page(png(LARGE, SMALL))
    key = key_of(page)
    assert page.button(key=f"remove-{key}").disabled  # No hand is chosen.
    page.radio(key=f"hand-{key}-2").set_value(0)
    run(page)
    for button, hands in [("remove", 1), ("remove", 0), ("undo", 1), ("over", 2)]:
        page.button(key=f"{button}-{key}").click()
        run(page)
        assert len(page.session_state.workspace.photos[key].entries) == hands
        assert bool(page.warning) == (hands == 0)
    assert page.button(key=f"undo-{key}").disabled
    assert decoded == [2]


def test_the_view_starts_at_the_hand_and_moves_only_when_it_is_told(open_page: Open) -> None:
    page = open_page(png(LARGE, SMALL))
    key = key_of(page)

    def frame() -> Frame:
        return page.session_state[f"frame-{key}"]

    def see(button: str) -> Frame:
        page.button(key=f"{button}-{key}").click()
        run(page)
        return frame()

    both = frame()
    page.radio(key=f"hand-{key}-2").set_value(1)
    run(page)
    small = frame()
    assert small.left + small.width / 2 == pytest.approx(SMALL[0], abs=2)
    assert small.width < both.width
    page.button(key=f"remove-{key}").click()
    run(page)
    assert frame() == small  # a correction does not move the picture
    assert see("whole") == Frame.whole((160, 120))
    assert page.button(key=f"whole-{key}").disabled
    assert see("closer") == Frame((160, 120), 40, 30, 80, 60)
    assert see("near") != both  # only one hand is left


def test_a_model_that_fails_does_not_spoil_the_photos(
    open_page: Open, segmenter: HandSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(png(LARGE), models=("one", "other"))

    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(segmenter.model, "decode", fail)
        page.selectbox(key="model").select("other")
        run(page)
        assert "out of memory" in texts(page.error)
    page.selectbox(key="model").select("one")
    run(page)
    assert not page.error
    assert downloads(page) == FILES


def test_true_mask(open_page: Open) -> None:
    page = open_page(png(LARGE))
    key = f"truth-{key_of(page)}"
    mask = Image.fromarray(draw_photo(LARGE)[1])
    page.file_uploader(key=key).set_value(as_file(mask))
    run(page)
    values = {metric.label: metric.value for metric in page.metric}
    assert float(values["IoU"]) > 0.97
    assert float(values["Boundary F"]) > 0.97

    for file, text in [
        (as_file(Image.new("L", (20, 10))), "20 x 10 px, the photo 160 x 120"),
        (as_file(mask.convert("L").point(lambda value: 1 + value // 255)), "has the values 1, 2"),
        (("mask.png", b"", "image/png"), "no true mask"),
    ]:
        page.file_uploader(key=key).set_value(file)
        run(page)
        assert text in texts(page.error)
        assert "mask_value" not in texts(page.error)
        assert "--" not in texts(page.error)
        assert not page.metric


def test_what_a_true_mask_was_taken_from_is_said(open_page: Open) -> None:
    page = open_page(png(LARGE))
    mask = Image.fromarray(draw_photo(LARGE)[1]).convert("L").point(lambda value: value // 255)
    page.file_uploader(key=f"truth-{key_of(page)}").set_value(as_file(mask, "labels.png"))
    run(page)
    assert "**labels.png**: mask of zeros and ones" in texts(page.caption)
    assert page.metric
