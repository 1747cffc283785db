"""The page without a browser: photos, what is shown of them, and settings."""

from __future__ import annotations

import io
from typing import Any

import pytest
from driven_page import FILES, LARGE, SMALL, Open, downloads, png, run, texts
from PIL import Image
from red_hands import draw_photo

from handseg.segmenter import HandSegmenter


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


def test_a_model_that_fails_to_load_is_an_error_too(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise IndexError("list index out of range")

    page = open_page(models=("handseg-lite", "/etc/passwd"))
    monkeypatch.setattr(HandSegmenter, "from_pretrained", fail)
    page.selectbox(key="model").select("/etc/passwd")
    run(page)
    said = "The model cannot be loaded: IndexError: list index out of range"
    assert said in texts(page.error)


@pytest.mark.parametrize("name", ["", "gone"])
def test_without_a_model_photos_and_settings_stay(open_page: Open, name: str) -> None:
    """Streamlit forgets the files and values of what a run of the script does not show."""
    page = open_page(png(LARGE))
    page.radio(key="edge").set_value("hard")
    page.radio(key="background").set_value("Picture")
    run(page)
    page.selectbox(key="model").select("Other")
    run(page)
    page.text_input(key="own_model").set_value(name)
    run(page)
    assert page.info if not name else page.error
    assert not downloads(page)
    assert page.file_uploader(key="photos").value
    assert page.file_uploader(key="picture")
    assert page.radio(key="edge").value == "hard"
    assert page.slider(key="max_hands")


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
