"""`SegmentRows` in `datasets.Dataset.map`."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_process import output_of, run_alone
from PIL import Image
from red_hands import BLUE, LEFT, RIGHT, draw_photo, red_segmenter
from small_photos import check_rows, plain_rows, save_small_photos

from handseg.errors import ModelError
from handseg.integrations.datasets import SegmentRows
from handseg.segmenter import HandSegmenter

datasets = pytest.importorskip("datasets")

Features, Value, List = datasets.Features, datasets.Value, datasets.List
RAW = datasets.Image(decode=False)
TWO = draw_photo(LEFT, RIGHT)[0]


@pytest.fixture(autouse=True)
def quiet() -> None:
    datasets.disable_progress_bars()


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def stored(*cells: Any) -> Any:
    """Make a data set with these stored cells: paths, bytes or None."""
    images = [
        {"bytes": cell, "path": None} if isinstance(cell, bytes) else cell and {"path": str(cell)}
        for cell in cells
    ]
    features = Features({"image": datasets.Image(), "n": Value("int64")})
    return datasets.Dataset.from_dict(
        {"image": images, "n": list(range(len(cells)))}, features=features
    )


@pytest.fixture
def red() -> HandSegmenter:
    return red_segmenter()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_two_processes_give_what_a_plain_run_gives(
    method: str, segmenter: HandSegmenter, tmp_path: Path
) -> None:
    paths = save_small_photos(tmp_path / "photos", 24)
    code = """
import sys
from pathlib import Path
import datasets, multiprocess
from handseg.integrations.datasets import SegmentRows

if __name__ == "__main__":
    method, folder, out = sys.argv[1:]
    multiprocess.set_start_method(method)
    datasets.disable_progress_bars()
    features = datasets.Features({"image": datasets.Image()})
    paths = sorted(map(str, Path(folder).iterdir()))
    photos = datasets.Dataset.from_dict({"image": paths}, features=features)
    rows = SegmentRows("handseg-lite", threads=1)
    photos.map(rows, batched=True, batch_size=5, num_proc=2).save_to_disk(out)
    print(multiprocess.get_start_method())
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    start = "import runpy, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"

    arguments = (script, method, tmp_path / "photos", tmp_path / "out")
    done = run_alone(start, *arguments, timeout=300)
    assert (done.returncode, done.stdout.strip()) == (0, method), done.stderr

    found = datasets.load_from_disk(str(tmp_path / "out"))
    names = [Path(cell["path"]).name for cell in found.cast_column("image", RAW)["image"]]
    assert names == [path.name for path in paths]
    check_rows(found.remove_columns("image").to_list(), plain_rows(paths, segmenter))


def test_features_are_declared(red: HandSegmenter) -> None:
    rows = SegmentRows(red, objects=True)
    # The first batch, from which `datasets` infers types, has no hand and no error.
    found = stored(png(draw_photo()[0]), b"bad").map(rows, batched=True, batch_size=1)

    numbers, scores = List(Value("float32")), List(Value("float64"))
    rle = List({"size": List(Value("int32")), "counts": Value("string")})
    assert found.features == Features(
        {
            "image": datasets.Image(),
            "n": Value("int64"),
            "masks": rle,
            "object_masks": rle,
            "boxes": List(numbers),
            "landmarks": List(List(numbers)),
            "handedness": List(Value("string")),
            "handedness_scores": scores,
            "detection_scores": scores,
            "predicted_ious": scores,
            "error": Value("string"),
        }
    )
    assert found["masks"] == [[], None]
    assert found["error"][0] is None
    assert "not an image" in found["error"][1]


def test_declared_features_may_be_given(red: HandSegmenter) -> None:
    photos, rows = stored(png(TWO), b"bad"), SegmentRows(red, masks="png")
    found = photos.map(rows, batched=True, features=rows.features(photos.features))
    assert found.features == rows.features(photos.features)
    assert found.features == photos.map(rows, batched=True).features


def test_masks_as_pictures(red: HandSegmenter) -> None:
    photo, mask = draw_photo(LEFT, RIGHT)
    found = stored(png(photo)).map(SegmentRows(red, masks="png"), batched=True)

    assert found.features["masks"] == List(datasets.Image())
    pictures = [np.asarray(picture) for picture in found[0]["masks"]]
    assert len(pictures) == 2
    assert all(set(np.unique(picture)) == {0, 255} for picture in pictures)
    expected = red.segment(photo).mask
    np.testing.assert_array_equal(np.maximum(*pictures) > 0, expected)
    assert (expected & mask).sum() / (expected | mask).sum() > 0.95


@pytest.mark.parametrize("masks", ["rle", "png"])
def test_objects_are_null_where_a_hand_holds_nothing(red: HandSegmenter, masks: Any) -> None:
    photo = TWO.copy()
    photo[20:40, 35:55] = BLUE  # In contact with one of the hands.
    expected = red.segment(photo, objects=True)
    assert [hand.object_mask.any() for hand in expected].count(True) == 1

    rows = SegmentRows(red, masks=masks, objects=True)
    (row,) = stored(png(photo)).map(rows, batched=True).to_list()

    held = [mask is not None for mask in row["object_masks"]]
    assert held == [bool(hand.object_mask.any()) for hand in expected]


def test_what_a_cell_may_hold(red: HandSegmenter, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(png(TWO))
    boxes = [hand.box.tolist() for hand in red.segment(TWO)]
    path = str(tmp_path / "photo.png")
    cells = [path, f"file://{path}", png(TWO), TWO, TWO.tolist(), Image.fromarray(TWO)]
    cells += [{"bytes": png(TWO), "path": "gone.png"}, {"bytes": None, "path": path}]
    bad = [None, {"bytes": None, "path": None}, f"file://{path}x", "nosuch://a/b", 5]

    found = SegmentRows(red).rows([*cells, *bad])

    assert found["boxes"] == [boxes] * len(cells) + [None] * len(bad)
    assert found["error"][: len(cells)] == [None] * len(cells)
    errors = found["error"][len(cells) :]
    assert errors[:2] == ["this row has no image"] * 2
    assert "No such file" in errors[2] or "does not exist" in errors[2]
    assert "nosuch" in errors[3]
    assert "got int" in errors[4]


def test_arrow_format_and_streams(red: HandSegmenter) -> None:
    photos, rows = stored(png(TWO), b"bad"), SegmentRows(red)
    expected = photos.map(rows, batched=True).remove_columns("image").to_list()
    assert expected[1]["error"]

    table = photos.with_format("arrow").map(rows, batched=True)
    assert table.with_format(None).remove_columns("image").to_list() == expected

    raw = photos.cast_column("image", RAW)
    stream = raw.to_iterable_dataset()
    features = rows.features(raw.features)
    stream = stream.map(rows, batched=True, features=features).remove_columns("image")
    assert list(stream) == expected


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"masks": "pgn"}, ValueError, "masks must be 'rle' or 'png', got 'pgn'"),
        ({"threads": 0}, ValueError, "threads must be at least 1, got 0"),
        ({"max_hands": 0}, ValueError, "max_hands must be at least 1, got 0"),
        ({"boxes": [1, 2, 3, 4]}, TypeError, "unexpected keyword argument 'boxes'"),
        ({"max_hand": 2}, TypeError, "did you mean 'max_hands'"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SegmentRows("no/such/model", **arguments)


def test_a_segmenter_that_is_there_takes_no_device(red: HandSegmenter) -> None:
    with pytest.raises(ValueError, match="device needs a segmenter"):
        SegmentRows(red, device="cuda")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"column": "photo"}, "'photo' does not exist, the data has image, n"),
        ({"column": "image"}, "the data already has boxes"),
    ],
)
def test_columns_that_do_not_fit(
    red: HandSegmenter, arguments: dict[str, str], message: str
) -> None:
    photos = stored(png(TWO))
    if arguments["column"] == "image":
        photos = photos.rename_column("n", "boxes")
    with pytest.raises(ValueError, match=message):
        photos.map(SegmentRows(red, **arguments), batched=True)


def test_single_rows_of_a_stream_are_refused(red: HandSegmenter) -> None:
    stream = stored(png(TWO)).cast_column("image", RAW).to_iterable_dataset()
    with pytest.raises(ValueError, match="batched=True"):
        list(stream.map(SegmentRows(red)))


def test_what_fails_for_all_photos_is_no_error_of_a_row(red: HandSegmenter) -> None:
    with pytest.raises(ModelError, match="objects: this model has no adapter"):
        SegmentRows(HandSegmenter(red.model, landmarker=red.landmarker), objects=True)
    with pytest.raises(ModelError, match="no/such/folder/here"):
        SegmentRows("no/such/folder/here").rows([TWO])


def test_the_limit_of_threads_holds_for_what_is_loaded(tmp_path: Path) -> None:
    code = """
import os, pickle, sys
import cv2
from handseg import HandSegmenter
from handseg.integrations.datasets import SegmentRows
for segmenter in ("handseg-lite", HandSegmenter.from_pretrained()):
    rows = pickle.loads(pickle.dumps(SegmentRows(segmenter, threads=1)))
    options = rows.load().model._encoder.session().get_session_options()
    print(options.intra_op_num_threads, cv2.getNumThreads())
"""
    assert output_of(code) == "1 1\n1 1"


def hashed(rows: SegmentRows) -> str:
    return str(datasets.fingerprint.Hasher.hash(rows))


def test_cached_results_are_found_again(red: HandSegmenter, tmp_path: Path) -> None:
    with HandSegmenter.from_pretrained() as lite:
        lite.save_pretrained(tmp_path / "model")

    def tuned() -> list[SegmentRows]:
        name = tmp_path / "model"
        return [SegmentRows(name), SegmentRows(HandSegmenter.from_pretrained(name))]

    before = [hashed(rows) for rows in tuned()]
    assert [hashed(rows) for rows in tuned()] == before
    assert hashed(SegmentRows(tmp_path / "model", max_hands=1)) != before[0]

    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text() + " ")
    assert not set(before) & {hashed(rows) for rows in tuned()}

    rows = SegmentRows(red)
    unused = hashed(rows)
    rows.rows([TWO])
    assert hashed(rows) == unused


def test_a_pickle_holds_no_model(segmenter: HandSegmenter) -> None:
    rows = SegmentRows("handseg-lite")
    rows.load()
    for one in (rows, SegmentRows(segmenter)):
        pickled = pickle.dumps(one)
        assert len(pickled) < 10_000
        assert os.fsencode(Path(__file__).parents[2]) not in pickled
