from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from handseg.data.image_mask import find_pairs
from handseg.errors import TrainingError
from handseg.finetune.pretrain.samples import Samples, load_rendered, load_samples
from handseg.finetune.pretrain.settings import ComposedData
from handseg.prompts import PromptRecipe
from handseg.runtime.journal import Journal
from handseg.synthetic.sample import Sample


class Plain:
    """A composer of a grey image without a hand."""

    def sample(self, rng: np.random.Generator, size: int) -> Sample:
        points, labels = np.zeros((1, 2), np.float32), np.ones(1, np.int64)
        fields: dict[str, Any] = {
            "image": np.full((size, size, 3), 127, np.uint8),
            "alpha": np.zeros((size, size), np.float32),
            "valid": np.ones((size, size), bool),
            "points": points,
            "labels": labels,
            "box": np.zeros(4, np.float32),
            "skeleton": np.zeros((size, size), np.float32),
        }
        return Sample(**fields)


def test_an_item_leaves_opencvs_threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "setNumThreads", lambda count: pytest.fail(f"set to {count}"))
    samples = Samples(Plain(), 64, seed=0, count=1)  # type: ignore[arg-type]
    assert samples[0]["image"].shape == (64, 64, 3)


def test_landmarks_that_a_folder_brings_along_are_taken(
    photo_folder: Path, open_hand: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    shutil.copytree(photo_folder, root / "labelled")
    pairs = find_pairs(root / "labelled")
    for pair in pairs:
        Journal(root / "labelled/landmarks").record(pair.digest(), open_hand.tolist())
    monkeypatch.setattr(
        "handseg.synthetic.pasted.sources.HandLandmarker", lambda: pytest.fail("looks again")
    )
    sets = {"labelled": 1.0}
    data = ComposedData(sets, sets, ("labelled/images",), "objects", str(root), 0.5, (pairs[0].id,))
    training, validation = load_samples(data, PromptRecipe(), tmp_path / "cache")
    assert [len(one.examples) for one in (training, validation)] == [len(pairs) - 1, 1]
    np.testing.assert_array_equal(training.examples[0].landmarks, open_hand)
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def rendered_folder(
    photos: dict[str, np.ndarray], photo_masks: dict[str, np.ndarray], tmp_path: Path
) -> Path:
    """Stands in for rendered people: two images of two hands each, with instances."""
    folder = tmp_path / "rendered"
    for name in ("images", "masks", "instances"):
        (folder / name).mkdir(parents=True)
    stems = sorted(photos)
    for stem, pair in (("a", stems[:2]), ("b", stems[2:])):
        image = np.hstack([photos[one] for one in pair])
        numbers = np.hstack([photo_masks[one] * (1 + place) for place, one in enumerate(pair)])
        cv2.imwrite(str(folder / f"images/{stem}.png"), image[..., ::-1])
        cv2.imwrite(str(folder / f"masks/{stem}.png"), (numbers > 0).astype(np.uint8) * 255)
        cv2.imwrite(str(folder / f"instances/{stem}.png"), numbers.astype(np.uint8))
    return folder


def with_rendered(folder: Path, held_out: str) -> ComposedData:
    return ComposedData(
        {}, {}, (), "objects", str(folder.parent), 0.0, (held_out,), {folder.name: 1.0}, 1.0
    )


def test_rendered_hands_are_shown_one_by_one_and_held_out_ones_apart(
    rendered_folder: Path, tmp_path: Path
) -> None:
    data = with_rendered(rendered_folder, "rendered/b")
    parts = load_rendered(data, PromptRecipe(), tmp_path / "cache")
    for part, stem in zip(parts, "ab", strict=True):
        assert part is not None
        assert [(hand.photo.id, hand.instance) for hand in part.hands] == [(stem, 1), (stem, 2)]
    samples = Samples(Plain(), 128, 0, 12, parts[0], data.rendered_share)  # type: ignore[arg-type]
    for index in range(len(samples)):
        # The region is cropped for one hand, whose mask fills much of it; the other hand is not
        # among the target's islands.
        target = (samples[index]["target"].numpy() > 0.5).astype(np.uint8)
        assert 0.03 < target.mean() < 0.6
        _, _, stats, _ = cv2.connectedComponentsWithStats(target)
        assert stats[1:, cv2.CC_STAT_AREA].max() > 0.8 * target.sum()


def test_rendered_share_says_how_often_rendered_hands_are_shown(
    rendered_folder: Path, tmp_path: Path
) -> None:
    data = with_rendered(rendered_folder, "rendered/b")
    rendered, _ = load_rendered(data, PromptRecipe(), tmp_path / "cache")
    for share, least, most in ((0.0, 0, 0), (0.5, 5, 15), (1.0, 20, 20)):
        samples = Samples(Plain(), 64, 3, 20, rendered, share)  # type: ignore[arg-type]
        shown = sum(float(samples[i]["target"].max()) > 0 for i in range(20))
        assert least <= shown <= most


def test_a_part_without_a_rendered_hand_is_an_error(rendered_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"rendered: no hand is in the part 'validation'"):
        load_rendered(with_rendered(rendered_folder, "other/"), PromptRecipe(), tmp_path / "cache")
