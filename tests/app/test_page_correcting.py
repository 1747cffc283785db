"""The page without a browser: corrections, the true mask, and models that fail."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from driven_page import FILES, LARGE, SMALL, Open, as_file, downloads, key_of, png, run, texts
from PIL import Image
from red_hands import draw_photo

from handseg.app import panels
from handseg.app.brush import Stroke
from handseg.app.frame import Frame
from handseg.landmarks import HandBox
from handseg.pipeline.semantic import SemanticSegmenter
from handseg.segmenter import HandSegmenter


def fail(*_: Any) -> None:
    raise RuntimeError("out of memory")


def test_a_suspected_hand_is_one_click_away(
    open_page: Open, red: HandSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, width, height = SMALL
    box = np.array([x - width, y - height, x + width, y + height], np.float32)
    down = np.array([0, 1], np.float32)
    places = [HandBox(box, 0.5, 0.5, down), HandBox(box * 0.4, 0.1, 0.5, down)]
    monkeypatch.setattr(red.landmarker, "suspect", lambda _: places)
    monkeypatch.setattr(red.landmarker, "find", lambda *_: [])
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
    open_page: Open, red: HandSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(png(LARGE), models=("one", "other"))
    with monkeypatch.context() as patch:
        patch.setattr(red.model, "decode", fail)
        page.selectbox(key="model").select("other")
        run(page)
        assert "out of memory" in texts(page.error)
    page.selectbox(key="model").select("one")
    run(page)
    assert not page.error
    assert downloads(page) == FILES


def test_a_correction_that_the_model_fails_at_can_be_undone(
    open_page: Open, red: HandSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(png(LARGE, name="a.png"), png(SMALL, name="b.png"))
    page.selectbox(key="chosen").select_index(1)
    run(page)
    key, photo = list(page.session_state.workspace.photos.items())[1]
    (found,) = photo.entries
    photo.draw_box(found, (5, 5, 90, 90))
    photo.paint(photo.entries[0], Stroke(np.array([[5, 5]], np.float32), radius=3))
    with monkeypatch.context() as patch:
        patch.setattr(red.model, "decode", fail)
        run(page)
        assert "**b.png** cannot be cut out: RuntimeError: out of memory" in texts(page.error)
        assert "2 photos: 1 with hands, 1 failed" in texts(page.caption)
        assert not downloads(page)
        page.button(key=f"undo-{key}").click()
        run(page)
        assert len(photo.history) == 1
        assert "out of memory" in texts(page.error)
        page.button(key=f"undo-{key}").click()
        run(page)
    assert photo.entries == (found,)
    assert page.selectbox(key="chosen").value == key
    assert not page.error
    assert downloads(page)[:-1] == FILES


def test_a_correction_that_fails_can_be_started_over_or_left_alone(
    open_page: Open, red: HandSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(png(LARGE, name="a.png"), png(SMALL, name="b.png"))
    key, photo = next(iter(page.session_state.workspace.photos.items()))
    photo.click(photo.entries[0], 50, 50, 1)
    with monkeypatch.context() as patch:
        patch.setattr(red.model, "decode", fail)
        run(page)
        page.selectbox(key="chosen").select_index(1)
        run(page)
        assert "out of memory" in texts(page.error)
        assert downloads(page) == FILES
        page.selectbox(key="chosen").select_index(0)
        run(page)
        page.button(key=f"over-{key}").click()
        run(page)
    assert not photo.history
    assert not page.error
    assert downloads(page)[:-1] == FILES


def test_a_failing_model_without_prompts_offers_no_undo(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(png(LARGE), models=("handseg-lite", "baseline"))
    photo = page.session_state.workspace.photos[key_of(page)]
    photo.click(photo.entries[0], 50, 50, 1)
    monkeypatch.setattr(SemanticSegmenter, "embed", fail)
    page.selectbox(key="model").select("baseline")
    run(page)
    assert "**photo.png** cannot be cut out: RuntimeError: out of memory" in texts(page.error)
    assert "undo" not in "".join(button.key or "" for button in page.button)


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


def test_a_true_mask_of_another_size_is_not_decoded(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(png(LARGE))
    name, data, kind = as_file(Image.new("L", (3000, 2000)))
    monkeypatch.setattr(panels, "read_mask_file", fail)
    for size in ((3000, 2000), (30_000, 20_000), (16, 12)):
        head = b"IHDR" + struct.pack(">II", *size) + data[24:29]
        file = data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]
        page.file_uploader(key=f"truth-{key_of(page)}").set_value((name, file, kind))
        run(page)
        told = f"it has {size[0]} x {size[1]} px, the photo 160 x 120"
        assert texts(page.error) == f"**{name}** is no true mask for this photo: {told}"


def test_a_true_mask_may_be_turned(open_page: Open) -> None:
    page = open_page(png(LARGE))
    mask = Image.fromarray(draw_photo(LARGE)[1]).convert("L")
    turned = mask.transpose(Image.Transpose.ROTATE_90)
    for exif, text in (({274: 6}, ""), ({}, "it has 120 x 160 px, the photo 160 x 120")):
        stream, written = io.BytesIO(), Image.Exif()
        written.update(exif)
        turned.save(stream, "PNG", exif=written)
        file = ("mask.png", stream.getvalue(), "image/png")
        page.file_uploader(key=f"truth-{key_of(page)}").set_value(file)
        run(page)
        assert text in texts(page.error)
        assert bool(page.metric) == bool(exif)


def test_what_a_true_mask_was_taken_from_is_said(open_page: Open) -> None:
    page = open_page(png(LARGE))
    mask = Image.fromarray(draw_photo(LARGE)[1]).convert("L").point(lambda value: value // 255)
    page.file_uploader(key=f"truth-{key_of(page)}").set_value(as_file(mask, "labels.png"))
    run(page)
    assert "**labels.png**: mask of zeros and ones" in texts(page.caption)
    assert page.metric
