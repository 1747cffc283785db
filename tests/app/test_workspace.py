from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from red_hands import draw_photo, red_segmenter

from handseg.app import workspace as module
from handseg.app.workspace import PromptedModel, Workspace
from handseg.errors import ImageError
from handseg.landmarks import HandBox, second_look
from handseg.segmenter import HandSegmenter

LARGE, SMALL = (50, 50, 30, 20), (130, 90, 15, 15)


@dataclass
class File:
    name: str
    data: bytes

    def getvalue(self) -> bytes:
        return self.data


def file(*ellipses: tuple[int, int, int, int], name: str = "photo.png") -> File:
    stream = io.BytesIO()
    Image.fromarray(draw_photo(*ellipses)[0]).save(stream, "PNG")
    return File(name, stream.getvalue())


def red_model() -> PromptedModel:
    return PromptedModel(red_segmenter())


@pytest.fixture
def workspace() -> Workspace:
    """Return a workspace with one photo, "a", with a large and a small hand."""
    made = Workspace(max_pixels=1_000_000)
    made.update({"a": file(LARGE, SMALL)})
    return made


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], list[Any]]:
    """Record the calls of a function, given its owner and attribute name."""

    def noting(owner: Any, name: str) -> list[Any]:
        calls: list[Any] = []
        original = getattr(owner, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            calls.append(arguments)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, noted)
        return calls

    return noting


# Cutting out


def test_hands_are_found_as_segment_finds_them(workspace: Workspace) -> None:
    image, mask = draw_photo(LARGE, SMALL)
    result = workspace.segment(workspace.photos["a"], red_model(), 4)
    expected = red_segmenter().segment(image)
    np.testing.assert_array_equal(result.image, image)
    np.testing.assert_array_equal(result.alpha, expected.alpha)
    assert result.to_dict() == expected.to_dict()
    assert (result.mask & mask).sum() / (result.mask | mask).sum() > 0.97


def test_only_what_changed_is_cut_again(
    workspace: Workspace, count: Callable[[Any, str], list[Any]]
) -> None:
    model, photo = red_model(), workspace.photos["a"]
    first, second = workspace.segment(photo, model, 4)
    encoded = count(model.segmenter.model, "encode")
    decoded = count(model.segmenter.model, "decode")
    again = workspace.segment(photo, model, 4)
    assert again.hands == (first, second)
    assert not decoded

    photo.click(photo.entries[1], 130, 90, 1)
    same, corrected = workspace.segment(photo, model, 4)
    assert same is first
    assert corrected is not second
    assert [len(batch) for _, batch in decoded] == [1]
    assert not encoded
    assert corrected.handedness == "left"
    np.testing.assert_array_equal(corrected.landmarks, second.landmarks)

    photo.undo()
    assert workspace.segment(photo, model, 4).hands == (first, second)
    assert len(decoded) == 1


def test_max_hands_shows_the_surest_without_the_model(
    workspace: Workspace, count: Callable[[Any, str], list[Any]]
) -> None:
    model, photo = red_model(), workspace.photos["a"]
    first, second = workspace.segment(photo, model, 4)
    decoded = count(model.segmenter.model, "decode")
    assert workspace.segment(photo, model, 1).hands == (first,)
    assert workspace.segment(photo, model, 4).hands == (first, second)
    assert not decoded
    photo.draw_box(None, (110, 70, 150, 110))
    assert len(workspace.segment(photo, model, 1)) == 2  # the visitor's own are always shown


def test_another_model_cuts_the_same_hands_and_the_first_remembers(
    workspace: Workspace, count: Callable[[Any, str], list[Any]]
) -> None:
    one, other, photo = red_model(), red_model(), workspace.photos["a"]
    photo_of_one = workspace.segment(photo, one, 4)
    looked = count(other.segmenter.landmarker, "detect")
    decoded = count(other.segmenter.model, "decode")
    assert workspace.segment(photo, other, 4).to_dict() == photo_of_one.to_dict()
    assert not looked
    assert decoded
    assert workspace.segment(photo, one, 4).hands == photo_of_one.hands


def test_what_the_finder_said_outlives_corrections_and_other_models(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, photo = red_model(), red_model(), workspace.photos["a"]
    find = one.segmenter.landmarker.find
    seen = [replace(find(draw_photo(LARGE)[0])[0], detection_score=0.75)]
    box, down = np.array([115, 75, 145, 105], np.float32), np.array([0, 1], np.float32)
    seen.append(HandBox(box, 0.25, 0.5, down))
    monkeypatch.setattr(one.segmenter.landmarker, "find", lambda *_: seen)
    workspace.segment(photo, one, 4)
    photo.click(photo.entries[0], 50, 50, 1)
    photo.draw_box(None, (110, 70, 150, 110))
    for model in (one, other):
        hands = workspace.segment(photo, model, 4)
        assert [hand.detection_score for hand in hands] == [0.75, 0.25, None]
        assert [hand.handedness for hand in hands] == ["left", "right", None]


def test_a_box_where_nothing_was_found() -> None:
    workspace, model = Workspace(1_000_000), red_model()
    workspace.update({"a": file()})
    photo = workspace.photos["a"]
    assert not workspace.segment(photo, model, 4)
    photo.draw_box(None, (20, 30, 80, 70))
    (hand,) = workspace.segment(photo, model, 4)
    assert hand.landmarks is None
    (prompts,) = (workspace.prompts(photo, model, entry) for entry in photo.entries)
    np.testing.assert_array_equal(prompts.box, [20, 30, 80, 70])


def test_prompts_of_a_hand_are_the_recipe_s_and_then_the_clicks(workspace: Workspace) -> None:
    model, photo = red_model(), workspace.photos["a"]
    workspace.segment(photo, model, 4)
    entry = photo.entries[0]
    before = workspace.prompts(photo, model, entry)
    np.testing.assert_array_equal(before.landmarks, entry.landmarks)
    photo.click(entry, 12.5, 34.5, 0)
    after = workspace.prompts(photo, model, photo.entries[0])
    np.testing.assert_array_equal(after.points, [*before.points, [12.5, 34.5]])
    np.testing.assert_array_equal(after.labels, [*before.labels, 0])


def test_a_hand_that_the_finder_suspects_is_offered_until_it_is_taken(
    segmenter: HandSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_look, "SURE", 0.99)
    path = Path(__file__).parents[2] / "notebooks" / "data" / "prompts" / "3_pic00052.jpg"
    workspace, model = Workspace(1_000_000), PromptedModel(segmenter)
    workspace.update({"a": File("a.jpg", path.read_bytes())})
    photo = workspace.photos["a"]
    assert not workspace.segment(photo, model, 4)
    (box,) = workspace.suspected(photo, model, ())
    photo.draw_box(None, tuple(box.tolist()))
    result = workspace.segment(photo, model, 4)
    assert result.mask[[277, 388], [307, 317]].all()
    assert not len(workspace.suspected(photo, model, result.hands))


def test_a_hand_of_which_nothing_was_cut_out_hides_no_other(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, photo = red_model(), workspace.photos["a"]
    first, _ = workspace.segment(photo, model, 4).hands
    box, down = np.array([90, 60, 150, 110], np.float32), np.array([0, 1], np.float32)
    place = HandBox(box, 0.5, 0.5, down)
    monkeypatch.setattr(model.segmenter.landmarker, "suspect", lambda _: [place])
    nothing = replace(first, patch=np.zeros((0, 0), np.uint8))
    assert not nothing.area
    assert workspace.suspected(photo, model, (first, nothing)).tolist() == [box.tolist()]


def test_a_hand_that_was_found_is_not_suspected(
    segmenter: HandSegmenter, photo_folder: Path
) -> None:
    model = PromptedModel(segmenter)
    for path in sorted((photo_folder / "images").iterdir()):
        workspace = Workspace(1_000_000)
        workspace.update({"a": File(path.name, path.read_bytes())})
        result = workspace.segment(workspace.photos["a"], model, 4)
        assert not len(workspace.suspected(workspace.photos["a"], model, result.hands)), path.name


# Memory


def test_a_photo_is_decoded_once_while_it_is_open(
    workspace: Workspace, count: Callable[[Any, str], list[Any]]
) -> None:
    decoded = count(module, "read_image")
    model = red_model()
    workspace.update({"a": file(LARGE), "b": file(SMALL)})
    one, other = workspace.photos.values()
    for photo, expected in [(one, 1), (one, 1), (other, 2), (other, 2), (one, 3)]:
        workspace.segment(photo, model, 4)
        assert len(decoded) == expected


def test_update_keeps_what_is_known_and_drops_what_is_gone(workspace: Workspace) -> None:
    photo = workspace.photos["a"]
    workspace.segment(photo, red_model(), 4)
    workspace.update({"b": file(SMALL), "a": File("other name", b"never read")})
    assert list(workspace.photos) == ["b", "a"]
    assert workspace.photos["a"] is photo
    assert workspace._open is not None
    workspace.update({"b": file(SMALL)})
    assert list(workspace.photos) == ["b"]
    assert workspace._open is None  # its picture is no longer kept either
    workspace.update({})
    assert not workspace.photos


def test_resolution_and_warnings_of_the_file_are_kept() -> None:
    picture, stream = Image.fromarray(draw_photo(LARGE)[0]), io.BytesIO()
    picture.save(stream, "TIFF", save_all=True, append_images=[picture], dpi=(300, 150))
    workspace = Workspace(1_000_000)
    workspace.update({"a": File("scan.tif", stream.getvalue()), "b": file(SMALL)})
    model, scan = red_model(), workspace.photos["a"]
    for photo in (scan, workspace.photos["b"], scan):
        expected = (300, 150) if photo is scan else None
        assert workspace.segment(photo, model, 4).dpi == expected
    assert scan.warnings == (" has 2 frames or pages: only the first is used",)
    assert not workspace.photos["b"].warnings


@pytest.mark.parametrize("data", [b"", b"no picture", file(LARGE).data[:200]])
def test_what_is_no_picture_is_an_error_and_leaves_the_others_alone(data: bytes) -> None:
    workspace, model = Workspace(1_000_000), red_model()
    workspace.update({"bad": File("bad.png", data), "good": file(LARGE)})
    with pytest.raises(ImageError):
        workspace.segment(workspace.photos["bad"], model, 4)
    assert len(workspace.segment(workspace.photos["good"], model, 4)) == 1


def test_a_photo_with_too_many_pixels_is_refused() -> None:
    workspace = Workspace(max_pixels=160 * 120 - 1)
    workspace.update({"a": file(LARGE)})
    with pytest.raises(ImageError):
        workspace.segment(workspace.photos["a"], red_model(), 4)
