import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from handseg.data.image_mask import find_pairs
from handseg.landmarks import HandLandmarker
from handseg.landmarks.anatomy import WRIST, WRIST_END, hand_size, palm_axis, wrist_side
from handseg.prompts import IGNORED, NEGATIVE, POSITIVE, PromptRecipe
from handseg.synthetic.pasted import effects
from handseg.synthetic.pasted.compositor import Composer
from handseg.synthetic.pasted.cutouts import make_cutout
from handseg.synthetic.pasted.effects import jitter_landmarks
from handseg.synthetic.pasted.pasting import blend, draw_band, draw_forearm, draw_sleeve
from handseg.synthetic.pasted.sources import Example, add_landmarks

SIZE = 128


@pytest.fixture(scope="module")
def examples(
    photo_folder: Path, landmarker: HandLandmarker, tmp_path_factory: pytest.TempPathFactory
) -> list[Example]:
    cache = tmp_path_factory.mktemp("cache")
    return add_landmarks(find_pairs(photo_folder), cache, landmarker)


@pytest.fixture(scope="module")
def composer(examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> Composer:
    folder = tmp_path_factory.mktemp("objects")
    coin = np.zeros((40, 40, 4), np.uint8)
    cv2.circle(coin, (20, 20), 18, (80, 150, 200, 255), -1)
    cv2.imwrite(str(folder / "coin.png"), coin)
    backgrounds = [example.image_path for example in examples]
    return Composer(examples, examples, backgrounds, [folder / "coin.png"], PromptRecipe())


def test_every_photo_has_its_hand(examples: list[Example]) -> None:
    assert len(examples) >= 3
    assert all(example.landmarks is not None for example in examples)


def test_landmark_cache_is_read(
    examples: list[Example], photo_folder: Path, tmp_path: Path, landmarker: HandLandmarker
) -> None:
    class Counts:
        calls = 0

        def detect(self, image: np.ndarray) -> list:
            self.calls += 1
            return landmarker.detect(image)

    counts = Counts()
    pairs = find_pairs(photo_folder)
    first = add_landmarks(pairs, tmp_path / "cache", counts)  # type: ignore[arg-type]
    again = add_landmarks(pairs, tmp_path / "cache", counts)  # type: ignore[arg-type]
    assert counts.calls == len(pairs)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.landmarks, other.landmarks)

    copy = tmp_path / "renamed"
    shutil.copytree(photo_folder, copy)
    add_landmarks(find_pairs(copy), tmp_path / "cache", counts)  # type: ignore[arg-type]
    assert counts.calls == len(pairs)
    (mask, *_) = sorted((copy / "masks").iterdir())
    cv2.imwrite(str(mask), np.zeros_like(cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)))
    changed = add_landmarks(find_pairs(copy), tmp_path / "cache", counts)  # type: ignore[arg-type]
    assert counts.calls == len(pairs) + 1
    assert [example.landmarks is None for example in changed] == [True, False, False, False]


def test_a_hand_off_the_mask_is_not_the_examples_hand(
    photo_folder: Path, tmp_path: Path, landmarker: HandLandmarker
) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    pair = find_pairs(photo_folder)[0]
    _, mask = pair.load()
    (tmp_path / "images" / "a.jpg").write_bytes(pair.image_path.read_bytes())
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.zeros(mask.shape, np.uint8))
    (example,) = add_landmarks(find_pairs(tmp_path), tmp_path / "cache", landmarker)
    assert example.landmarks is None
    with pytest.raises(ValueError, match="no landmarks"):
        make_cutout(example)


def test_samples_repeat_with_their_seed_and_keep_their_form(composer: Composer) -> None:
    for seed in range(12):
        one = composer.sample(np.random.default_rng(seed), SIZE)
        other = composer.sample(np.random.default_rng(seed), SIZE)
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.alpha, other.alpha)
        assert one.image.shape == (SIZE, SIZE, 3)
        assert one.image.dtype == np.uint8
        assert one.alpha.dtype == np.float32
        assert 0 <= one.alpha.min() <= one.alpha.max() <= 1
        assert one.skeleton.shape == (SIZE // 4, SIZE // 4)
        assert not one.alpha[~one.valid].any()


def test_prompts_of_samples_fit_their_truth(composer: Composer) -> None:
    hits, misses, cover = [], [], []
    for seed in range(40):
        sample = composer.sample(np.random.default_rng(1000 + seed), SIZE)
        assert sample.alpha.sum() > 0.02 * SIZE**2
        x, y = np.clip(np.round(sample.points), 0, SIZE - 1).astype(int).T
        on_hand = sample.alpha[y, x] > 0.3
        hits += on_hand[sample.labels == POSITIVE].tolist()
        misses += on_hand[sample.labels == NEGATIVE].tolist()
        rows, columns = np.nonzero(sample.alpha > 0.5)
        inside = (columns >= sample.box[0] - 2) & (columns <= sample.box[2] + 2)
        inside &= (rows >= sample.box[1] - 2) & (rows <= sample.box[3] + 2)
        cover.append(inside.mean())
        assert set(sample.labels) <= {POSITIVE, NEGATIVE, IGNORED}
    # Jitter moves some points off the hand, and other hands or objects hide some.
    assert np.mean(hits) > 0.8
    assert np.mean(misses) < 0.2
    assert np.mean(cover) > 0.95


def test_sets_share_by_weight_whatever_their_size(examples: list[Example]) -> None:
    few = [Example("few/a", examples[0].image_path, examples[0].mask_path, examples[0].landmarks)]
    many = [
        Example(f"many/{index}", one.image_path, one.mask_path, one.landmarks)
        for index, one in enumerate(examples * 5)
    ]
    composer = Composer(few + many, [], [], [], PromptRecipe(), {"few": 3.0, "many": 1.0})
    rng = np.random.default_rng(0)
    drawn = [composer._draw_example(rng).set_name for _ in range(400)]
    assert 0.68 < drawn.count("few") / 400 < 0.82


def test_cutout_separates_hand_and_forearm(examples: list[Example]) -> None:
    for example in examples:
        cutout = make_cutout(example)
        assert (cutout.hand <= cutout.alpha + 1e-6).all()
        assert cutout.color.shape[:2] == cutout.alpha.shape
        x, y = np.round(cutout.landmarks[[5, 9, 13]]).astype(int).T
        assert (cutout.hand[y, x] > 0.9).all()


def test_edge_colours_hold_no_background() -> None:
    """A red disc on blue: where the cut-out is at all opaque, no blue may be left."""
    image = np.zeros((80, 80, 3), np.uint8)
    image[..., 2] = 255
    mask = np.zeros((80, 80), np.uint8)
    cv2.circle(mask, (40, 40), 25, 1, -1)
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)[..., None]
    image = (image * (1 - blurred) + np.array([255, 0, 0]) * blurred).astype(np.uint8)
    from handseg.synthetic.pasted.cutouts import _extend_colors

    color = _extend_colors(image, mask)
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    assert color[alpha > 0.02][:, 2].max() < 90
    assert image[alpha > 0.02][:, 2].max() > 200


def test_wrist_side_ends_past_the_wrist(examples: list[Example]) -> None:
    landmarks = examples[0].landmarks
    assert landmarks is not None
    side = wrist_side(landmarks, 640, 640)
    axis, size = palm_axis(landmarks), hand_size(landmarks)
    for reach, expected in ((0.5, 1), (1.5, 0)):
        x, y = np.round(landmarks[WRIST] + axis * WRIST_END * size * reach).astype(int)
        assert side[y, x] == expected


def test_sleeve_and_forearm_lie_beyond_the_hand(examples: list[Example]) -> None:
    landmarks = examples[0].landmarks
    assert landmarks is not None
    photo, mask = examples[0].load()
    square = np.zeros((640, 640, 3), np.uint8)
    square[: photo.shape[0], : photo.shape[1]] = photo[:640, :640]
    hand = np.zeros((640, 640), np.float32)
    hand[: photo.shape[0], : photo.shape[1]] = mask[:640, :640]
    hand *= wrist_side(landmarks, 640, 640)
    rng = np.random.default_rng(0)
    _, cover = draw_sleeve(square, square[::-1], landmarks, rng)
    tips = np.round(landmarks[[8, 12, 16]]).astype(int)
    assert not cover[tips[:, 1], tips[:, 0]].any()
    assert cover.sum() > 100
    _, skin = draw_forearm(square, hand, hand, landmarks, rng)
    added = skin - hand
    assert added.min() >= 0
    assert added.sum() > 100
    assert added[wrist_side(landmarks, 640, 640) > 0.99].sum() < 0.5 * added.sum()


def test_a_band_lies_around_the_wrist_and_on_no_finger(examples: list[Example]) -> None:
    landmarks = examples[0].landmarks
    assert landmarks is not None
    white = np.full((640, 640, 3), 255, np.uint8)
    axis, size = palm_axis(landmarks), hand_size(landmarks)
    for seed in range(20):
        drawn = draw_band(white, landmarks, np.random.default_rng(seed))
        rows, columns = np.nonzero((drawn < 250).any(2))
        along = (np.stack([columns, rows], 1) - landmarks[WRIST]) @ axis / size
        across = (np.stack([columns, rows], 1) - landmarks[WRIST]) @ [-axis[1], axis[0]] / size
        assert len(along) > 100
        assert along.min() > 0.1
        assert along.max() < WRIST_END + 0.45
        assert abs(across).max() < 0.5


def test_jitter_is_small_against_the_hand(examples: list[Example]) -> None:
    landmarks = examples[0].landmarks
    assert landmarks is not None
    rng = np.random.default_rng(0)
    moved = np.stack([jitter_landmarks(landmarks, rng) for _ in range(300)])
    errors = np.linalg.norm(moved - landmarks, axis=-1) / hand_size(landmarks)
    assert 0.01 < np.median(errors) < 0.08
    assert np.abs(moved.mean(0) - landmarks).max() < 0.03 * hand_size(landmarks)


@pytest.mark.parametrize("seed", range(6))
def test_effects_keep_the_form_of_a_picture(seed: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    alpha = np.zeros((64, 64), np.float32)
    alpha[20:40, 20:40] = 1
    results = [
        effects.vary_color(image, np.random.default_rng(seed)),
        effects.vary_skin(image, np.random.default_rng(seed)),
        effects.camera(image, np.random.default_rng(seed)),
        effects.cast_shadow(image, alpha, np.random.default_rng(seed)),
    ]
    for result in results:
        assert result.shape == image.shape
        assert result.dtype == np.uint8
    assert (results[3] <= image).all()
    assert results[3].sum() < image.sum()


def test_blend_takes_top_where_alpha_is_one() -> None:
    low, top = np.full((4, 4, 3), 10, np.uint8), np.full((4, 4, 3), 200, np.uint8)
    alpha = np.zeros((4, 4), np.float32)
    alpha[1] = 1
    alpha[2] = 0.5
    result = blend(low, top, alpha)
    assert (result[0] == 10).all()
    assert (result[1] == 200).all()
    assert (result[2] == 105).all()
