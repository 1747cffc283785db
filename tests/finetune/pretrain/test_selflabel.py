import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from handseg.data.image_mask import find_pairs
from handseg.errors import TrainingError
from handseg.evaluation.metrics import compare_masks
from handseg.finetune.pretrain.selflabel import SelfLabelThresholds, grabcut, label_folder
from handseg.runtime.journal import Journal
from handseg.segmenter import HandSegmenter
from handseg.synthetic.pasted.sources import add_landmarks


def test_grabcut_moves_a_rough_outline_to_the_edge() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((160, 160), np.uint8)
    cv2.circle(truth, (80, 80), 40, 1, -1)
    colors = np.where(truth[..., None] > 0, (200, 150, 120), (60, 90, 110))
    photo = np.clip(colors + rng.normal(0, 8, colors.shape), 0, 255).astype(np.uint8)
    rough = np.zeros((160, 160), np.float32)
    cv2.circle(rough, (80, 80), 42, 1.0, -1)
    before = compare_masks(rough > 0.5, truth > 0).iou
    after = compare_masks(grabcut(photo, rough), truth > 0).iou
    assert before < 0.92
    assert after > 0.97


@pytest.mark.slow
def test_only_sure_hands_become_pairs(
    segmenter: HandSegmenter, photo_folder: Path, tmp_path: Path
) -> None:
    photos = sorted((photo_folder / "images").iterdir())[:2]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    output = tmp_path / "labels"
    lenient = SelfLabelThresholds(votes=0, agreement=0.5, grabcut=0, predicted_iou=0)
    label_folder(segmenter, [broken, *photos], output, lenient)
    pairs = find_pairs(output)
    assert len(pairs) == len(photos)
    truth = {pair.id.split("/")[1]: pair.load()[1] for pair in find_pairs(photo_folder)}
    for pair in pairs:
        stem = pair.id.split("/")[1].removesuffix("_h0")
        assert compare_masks(pair.load()[1], truth[stem]).iou > 0.85
    landmarks = Journal(output / "landmarks")
    assert landmarks.keys() == {pair.digest() for pair in pairs}

    class Blind:
        def detect(self, image: np.ndarray) -> list:
            raise AssertionError("the hand is looked for again")

    examples = add_landmarks(pairs, output / "landmarks", Blind())  # type: ignore[arg-type]
    assert all(example.landmarks is not None for example in examples)

    # Pairs of the earlier run that are not sure enough do not stay.
    label_folder(segmenter, photos, output, SelfLabelThresholds(agreement=1.0))
    assert not [*(output / "images").iterdir(), *(output / "masks").iterdir()]
    records = json.loads((output / "labels.json").read_text())
    assert len(records) == len(photos)
    assert not any(record["kept"] for record in records.values())


def test_a_folder_of_something_else_is_refused(segmenter: HandSegmenter, tmp_path: Path) -> None:
    own = tmp_path / "masks/a_h0.png"
    own.parent.mkdir()
    own.write_bytes(b"drawn by hand")
    for _ in range(2):
        with pytest.raises(TrainingError, match="holds other files"):
            label_folder(segmenter, [], tmp_path, SelfLabelThresholds())
    label_folder(segmenter, [], tmp_path / "new", SelfLabelThresholds())
    label_folder(segmenter, [], tmp_path / "new", SelfLabelThresholds())
    assert own.read_bytes() == b"drawn by hand"


def test_photos_that_would_share_a_mask_are_refused(
    segmenter: HandSegmenter, tmp_path: Path
) -> None:
    photos = [tmp_path / name for name in ("a.jpg", "b.png", "a.png")]
    with pytest.raises(TrainingError, match="2 are named a"):
        label_folder(segmenter, photos, tmp_path / "labels", SelfLabelThresholds())
