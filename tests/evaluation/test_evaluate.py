from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from red_hands import LEFT, draw_photo, red_segmenter, save_pair, save_photo

from handseg.data.image_mask import ImageMaskPair, find_pairs
from handseg.evaluation.report import write_report
from handseg.evaluation.run import MASK, MEDIAPIPE, Evaluation, evaluate_pairs
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter


def evaluate(folder: Path, **options) -> Evaluation:
    with red_segmenter() as segmenter:
        return evaluate_pairs(segmenter, find_pairs(folder), **options)


def test_all_hands_found_are_compared_with_all_of_the_mask(folder: Path) -> None:
    evaluation = evaluate(folder)
    found = {photo.id: photo for photo in evaluation.photos}
    assert {name: photo.hands for name, photo in found.items()} == {
        "set/double": 2, "set/exact": 2, "set/half": 1, "set/missed": 0,
    }  # fmt: skip
    ious = {name: photo.metrics.iou for name, photo in found.items()}
    assert ious["set/exact"] > 0.97
    assert ious["set/half"] == pytest.approx(0.5, abs=0.02)
    assert ious["set/double"] == pytest.approx(0.5, abs=0.02)
    assert ious["set/missed"] == 0
    assert evaluation.summary.photos == 4
    assert evaluation.summary.missed == 1
    assert evaluation.summary.metrics["iou"]["mean"] == pytest.approx(np.mean(list(ious.values())))
    assert not evaluation.failures


def test_scores_hold_what_the_model_expects_and_no_group_where_none_is_known(folder: Path) -> None:
    found = {photo.id: photo for photo in evaluate(folder).photos}
    assert found["set/exact"].predicted_iou == pytest.approx(0.75)
    assert found["set/missed"].predicted_iou is None
    assert {photo.group for photo in found.values()} == {None}


def test_hits_are_the_photos_with_a_hand_found(folder: Path) -> None:
    everything = evaluate(folder)
    hits = everything.hits()
    assert [photo.id for photo in hits.photos] == ["set/double", "set/exact", "set/half"]
    assert hits.summary.missed == 0
    ious = [photo.metrics.iou for photo in everything.photos if photo.id != "set/missed"]
    assert hits.summary.metrics["iou"]["mean"] == pytest.approx(np.mean(ious))
    assert "set/missed" in {case.name for case in everything.worst}
    assert "set/missed" not in {case.name for case in hits.worst}


def test_prompts_from_the_mask_need_no_landmarks(folder: Path) -> None:
    class Blind:
        max_hands = 10

        def find(self, image: np.ndarray, finder: bool = True) -> list:
            raise AssertionError("MediaPipe was asked")

        def close(self) -> None:
            pass

    segmenter = HandSegmenter(red_segmenter().model, landmarker=Blind())
    evaluation = evaluate_pairs(segmenter, find_pairs(folder), prompts=MASK)
    found = {photo.id: photo for photo in evaluation.photos}
    # The mask of "half" shows two hands, the photo only one: a prompt on nothing finds nothing.
    assert {name: photo.hands for name, photo in found.items()} == {
        "set/double": 1, "set/exact": 2, "set/half": 2, "set/missed": 1,
    }  # fmt: skip
    assert found["set/exact"].metrics.iou > 0.97
    assert found["set/double"].metrics.iou > 0.97  # only the mask's hands were prompted
    assert found["set/missed"].metrics.iou == 0
    assert evaluation.summary.missed == 1


def test_prompts_from_an_empty_mask_find_nothing(tmp_path: Path) -> None:
    save_pair(tmp_path / "set", "none", [LEFT], [])
    (photo,) = evaluate(tmp_path / "set", prompts=MASK).photos
    assert (photo.hands, photo.metrics.iou) == (0, 1)


def test_unknown_prompts_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r'"mediapipe" or "mask".*hits'):
        evaluate(folder, prompts="hits")


@dataclass(frozen=True)
class PhotoOfSomeone:
    pair: ImageMaskPair
    group: str

    @property
    def id(self) -> str:
        return self.pair.id

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        return self.pair.load()


def test_groups_of_the_photos_are_what_the_bootstrap_draws(folder: Path) -> None:
    people = zip(find_pairs(folder), ("ann", "ben", "ann", ""), strict=True)
    with red_segmenter() as segmenter:
        photos = [PhotoOfSomeone(pair, name) for pair, name in people]
        evaluation = evaluate_pairs(segmenter, photos, seed=3)
    assert [photo.group for photo in evaluation.photos] == ["ann", "ben", "ann", None]
    assert (evaluation.summary.resampled, evaluation.summary.units) == ("groups", 3)
    assert (evaluation.seed, evaluation.hits().seed) == (3, 3)


def test_max_hands_limits_what_is_found(folder: Path) -> None:
    evaluation = evaluate(folder, max_hands=1)
    assert [photo.hands for photo in evaluation.photos] == [1, 1, 1, 0]


def test_worst_photos_come_worst_first(folder: Path) -> None:
    save_pair(folder, "tiny", [(45, 60, 5, 5)], [LEFT])
    names = [case.name for case in evaluate(folder, worst=2).worst]
    assert names == ["set/missed", "set/tiny"]
    assert evaluate(folder, worst=0).worst == ()


def test_progress_wraps_the_pairs(folder: Path) -> None:
    seen: list[str] = []

    def progress(pairs: Sequence[ImageMaskPair]) -> Iterator[ImageMaskPair]:
        assert len(pairs) == 4
        for pair in pairs:
            seen.append(pair.id)
            yield pair

    evaluate(folder, progress=progress)
    assert len(seen) == 4


def test_bad_pairs_are_reported_and_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "images/exact.png").write_bytes(b"no photo")
    Image.new("L", (7, 7)).save(folder / "masks/half.png")
    original = HandSegmenter.segment

    def segment(self: HandSegmenter, image: np.ndarray, **options):
        if (image == draw_photo()[0]).all():
            raise RuntimeError("out of memory")
        return original(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", segment)
    evaluation = evaluate(folder)
    assert [photo.id for photo in evaluation.photos] == ["set/double"]
    assert set(evaluation.failures) == {"set/exact", "set/half", "set/missed"}
    assert "exact.png" in evaluation.failures["set/exact"]
    assert "(7, 7)" in evaluation.failures["set/half"]
    assert evaluation.failures["set/missed"] == "RuntimeError: out of memory"


@pytest.mark.slow
def test_bundled_weights_find_the_hands_of_the_photos(
    photo_folder: Path, segmenter: HandSegmenter, tmp_path: Path
) -> None:
    systems = {
        "handseg-lite": {
            source: evaluate_pairs(segmenter, find_pairs(photo_folder), prompts=source)
            for source in (MEDIAPIPE, MASK)
        }
    }
    for evaluation in systems["handseg-lite"].values():
        assert evaluation.summary.missed == 0
        assert not evaluation.failures
        assert evaluation.summary.metrics["iou"]["worst"] > 0.8
    write_report(systems, tmp_path)
    with Image.open(tmp_path / "worst.jpg") as picture:
        assert picture.width > 1000


def test_anything_that_segments_can_be_judged(tmp_path: Path) -> None:
    mask = save_photo(tmp_path / "images" / "a.png", (80, 60, 40, 30))
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")

    class Other:
        def segment(self, image: Any, max_hands: int = 4) -> HandSegmentation:
            return red_segmenter().segment(image, max_hands=max_hands)

    evaluation = evaluate_pairs(Other(), find_pairs(tmp_path))
    assert not evaluation.failures
    assert evaluation.photos[0].metrics.iou > 0.95
