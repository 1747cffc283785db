"""Segmenters that are pickled and copied, as Ray, joblib and datasets do."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from own_process import output_of

from handseg.errors import ModelError
from handseg.landmarks import HandFinder, HandLandmarker
from handseg.models.sam.onnx import OnnxMaskModel
from handseg.segmenter import HandSegmenter


@pytest.fixture
def photo(photos: dict[str, np.ndarray]) -> np.ndarray:
    return next(iter(photos.values()))


@pytest.mark.parametrize(
    "again", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy, copy.copy]
)
def test_a_copy_finds_the_same(again, segmenter: HandSegmenter, photo: np.ndarray) -> None:
    expected = segmenter.segment(photo, objects=True)

    with again(segmenter) as other, again(segmenter.share()) as third:
        for one in (other, third):
            assert one.landmarker is not segmenter.landmarker
            found = one.segment(photo, objects=True)
            np.testing.assert_array_equal(found.mask, expected.mask)
            np.testing.assert_array_equal(found.object_mask, expected.object_mask)

    assert segmenter.segment(photo)  # Closing a copy leaves it open.


def test_a_landmarker_keeps_its_settings(photo: np.ndarray) -> None:
    with HandLandmarker(max_hands=1, all_views=True) as first:
        with pickle.loads(pickle.dumps(first)) as other:
            assert (other.max_hands, other.all_views) == (1, True)
            (expected,), (hand,) = first.detect(photo), other.detect(photo)
            assert hand.votes == expected.votes == 5
        assert first.detect(photo)
    with pytest.raises(ValueError, match="closed"):
        copy.deepcopy(first).detect(photo)


def test_a_landmarker_takes_its_finder_along(photo: np.ndarray) -> None:
    with HandLandmarker(finder=HandFinder()) as first:
        for again in (lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy):
            with again(first) as other:
                (expected,), (hand,) = first.find(photo), other.find(photo)
                assert expected.detection_score is not None
                assert hand.detection_score == expected.detection_score
    assert str(Path(__file__).parents[1]).encode() not in pickle.dumps(first)


def test_a_pickle_is_small_and_names_no_folder_of_this_installation(
    segmenter: HandSegmenter,
) -> None:
    pickled = pickle.dumps(segmenter.share())

    assert len(pickled) < 10_000
    assert str(Path(__file__).parents[1]).encode() not in pickled


def test_a_model_whose_folder_is_gone_says_so(tmp_path: Path) -> None:
    model = HandSegmenter.from_pretrained().model
    model.save_pretrained(tmp_path / "saved")
    pickled = pickle.dumps(OnnxMaskModel(tmp_path / "saved"))
    (tmp_path / "saved").rename(tmp_path / "moved")

    with pytest.raises(ModelError, match="saved"):
        pickle.loads(pickled)


def test_a_model_on_torch_takes_its_weights_along(photo: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tiny_models import save_tiny_model

    save_tiny_model("edgetam", tmp_path / "model")
    with HandSegmenter.from_pretrained(tmp_path / "model", device="cpu") as first:
        expected = first.segment(photo, boxes=[100, 100, 400, 400])
        pickled = pickle.dumps(first)
    (tmp_path / "model").rename(tmp_path / "moved")

    with pickle.loads(pickled) as other:
        found = other.segment(photo, boxes=[100, 100, 400, 400])

    np.testing.assert_allclose(found.alpha, expected.alpha, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_begin_without_it(method: str, tmp_path: Path, photo_folder: Path) -> None:
    code = """
import multiprocessing, sys
from functools import partial
from pathlib import Path
from handseg import HandSegmenter

def count(segmenter, path):
    return int(segmenter.segment(path).mask.sum())

if __name__ == "__main__":
    paths = sorted(Path(sys.argv[2]).glob("*.jpg"))[:2]
    with HandSegmenter.from_pretrained() as segmenter:
        alone = [count(segmenter, path) for path in paths]
        with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
            print(pool.map(partial(count, segmenter), paths) == alone)
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    start = "import runpy, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    assert output_of(start, script, method, photo_folder / "images") == "True"
