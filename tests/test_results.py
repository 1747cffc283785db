from __future__ import annotations

import dataclasses
import io
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image
from pycocotools import mask as coco_mask

from handseg.results import Edge, Hand, HandSegmentation

NO_BOX = np.zeros(4, np.float32)


def make_hand(
    alpha: Any, offset: tuple[int, int] = (0, 0), shape: tuple[int, int] = (6, 8), **fields: Any
) -> Hand:
    fields = {"prompt_box": NO_BOX, "predicted_iou": 0.9, **fields}
    return Hand.from_alpha(np.asarray(alpha), offset, shape, **fields)


def make_photo(shape: tuple[int, int] = (6, 8)) -> np.ndarray:
    """Noise without a single 0, so that a black pixel cannot come from it."""
    return np.random.default_rng(0).integers(1, 256, (*shape, 3), np.uint8)


def make_disc(side: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    """The share of each pixel that a disc covers, from 16 x 16 samples a pixel."""
    steps = (np.arange(side * 16) + 0.5) / 16 - 0.5
    inside = np.hypot(steps - centre[0], steps[:, None] - centre[1]) <= radius
    return inside.reshape(side, 16, side, 16).mean(axis=(1, 3)).astype(np.float32)


def signed_area(polygon: np.ndarray) -> float:
    """Positive for what runs clockwise as the photo is seen (y grows downwards)."""
    x, y = polygon.astype(np.float64).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def rgba(segmentation: HandSegmentation, **options: Any) -> np.ndarray:
    picture = segmentation.cutout(**options)
    assert picture.mode == "RGBA"
    return np.asarray(picture)


SOFT = np.array([[0, 0.25, 0], [0.5, 1, 0.75], [0, 0.4, 0]], np.float32)
LANDMARKS = np.stack([np.linspace(-3, 9, 21), np.full(21, 2.125)], axis=1).astype(np.float32)


class TestHand:
    def test_paints_its_patch_where_it_belongs(self) -> None:
        hand = make_hand(SOFT, (2, 1))

        expected = np.zeros((6, 8), np.float32)
        expected[1:4, 2:5] = SOFT
        assert hand.alpha.dtype == np.float32
        np.testing.assert_allclose(hand.alpha, expected, atol=0.5 / 255)
        assert hand.mask.dtype == bool
        np.testing.assert_array_equal(np.argwhere(hand.mask), [[2, 2], [2, 3], [2, 4]])
        assert hand.area == 3
        assert hand.box.dtype == np.float32
        np.testing.assert_array_equal(hand.box, [2, 2, 4, 2])

    @given(
        alpha=npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=7)),
        x=st.integers(-9, 9),
        y=st.integers(-9, 9),
        shape=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    )
    @settings(deadline=None)
    def test_alpha_may_reach_out_of_the_photo(
        self, alpha: np.ndarray, x: int, y: int, shape: tuple[int, int]
    ) -> None:
        prompt_box = np.array([1, 2, 3, 4], np.float32)
        hand = make_hand(alpha, (x, y), shape, prompt_box=prompt_box)

        expected = np.zeros(shape, np.uint8)
        for row, column in np.ndindex(*alpha.shape):
            if 0 <= y + row < shape[0] and 0 <= x + column < shape[1]:
                expected[y + row, x + column] = alpha[row, column]
        np.testing.assert_array_equal(np.rint(hand.alpha * 255), expected)
        np.testing.assert_array_equal(hand.mask, expected >= 128)
        assert hand.area == (expected >= 128).sum()
        rows, columns = np.nonzero(expected >= 128)
        box = [columns.min(), rows.min(), columns.max(), rows.max()] if len(rows) else prompt_box
        np.testing.assert_array_equal(hand.box, box)
        assert hand.patch.size == 0 or all(
            edge.any()
            for edge in (hand.patch[0], hand.patch[-1], hand.patch[:, 0], hand.patch[:, -1])
        )

    @pytest.mark.parametrize(
        "alpha",
        [
            np.array([[True, False]]),
            np.array([[255, 0]], np.uint8),
            np.array([[1, 0]], np.float16),
            np.array([[1, 0]], np.float64),
        ],
        ids=lambda alpha: str(alpha.dtype),
    )
    def test_takes_every_kind_of_alpha(self, alpha: np.ndarray) -> None:
        hand = make_hand(alpha)
        assert hand.alpha[0, 0] == 1
        assert hand.alpha.sum() == 1

    def test_mask_begins_at_one_half(self) -> None:
        below = np.nextafter(np.float32(0.5), np.float32(0))
        np.testing.assert_array_equal(
            make_hand(np.array([[0.5, below]], np.float32)).mask[0, :2], [True, False]
        )

    def test_does_not_change_with_the_array_it_came_from(self) -> None:
        alpha = np.full((6, 8), 255, np.uint8)
        hand = make_hand(alpha)
        alpha[:] = 0
        assert hand.mask.all()

    def test_keeps_no_more_than_its_extent(self) -> None:
        alpha = np.zeros((500, 400), np.float32)
        alpha[100:120, 50:60] = 1
        hand = make_hand(alpha, shape=(500, 400))
        assert (hand.patch.shape, hand.offset) == ((20, 10), (50, 100))

    @pytest.mark.parametrize(
        ("alpha", "message"),
        [
            (np.zeros((2, 2, 1)), r"alpha must be \(h, w\), got \(2, 2, 1\)"),
            (np.zeros((2, 2), int), "alpha must be bool, uint8 or floating, got int64"),
            (np.full((2, 2), 1.5), "alpha must be in 0..1, got 1.5"),
            (np.full((2, 2), -0.5), "alpha must be in 0..1, got -0.5"),
            (np.full((2, 2), np.nan), "alpha must be in 0..1, got nan"),
        ],
    )
    def test_rejects_what_is_no_alpha(self, alpha: np.ndarray, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make_hand(alpha)

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("patch", np.zeros((2, 2), np.float32), r"patch must be .* got \(2, 2\) float32"),
            ("offset", (7, 0), "patch must lie in the photo of 8 x 6 px, got x 7 to 9"),
            ("offset", (0, -1), "patch must lie in the photo .* y -1 to 1"),
            ("box", np.array([3, 0, 1, 1]), "box must be"),
            ("box", np.array([0, 0, 1, np.nan]), "box must be"),
            ("box", np.zeros((2, 2)), "box must be"),
            ("landmarks", np.zeros((20, 2)), r"landmarks must be \(21, 2\).* got \(20, 2\)"),
            ("landmarks", np.full((21, 2), np.inf), "landmarks must be"),
            ("handedness", "Left", "handedness must be .* got 'Left'"),
            ("predicted_iou", float("nan"), "predicted_iou must be finite"),
            ("score", float("inf"), "score must be finite"),
        ],
    )
    def test_rejects_fields_that_do_not_fit(self, field: str, value: Any, message: str) -> None:
        fields: dict[str, Any] = {
            "patch": np.full((2, 2), 255, np.uint8),
            "offset": (0, 0),
            "image_shape": (6, 8),
            "box": NO_BOX,
            "predicted_iou": 0.9,
        }
        Hand(**fields)
        with pytest.raises(ValueError, match=message):
            Hand(**{**fields, field: value})


class TestContours:
    @given(
        radius=st.floats(3, 25),
        shift=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
        offset=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    )
    @settings(deadline=None, max_examples=30)
    def test_find_a_disc_to_a_tenth_of_a_pixel(
        self, radius: float, shift: tuple[float, float], offset: tuple[int, int]
    ) -> None:
        centre = (29.5 + shift[0], 29.5 + shift[1])
        hand = make_hand(make_disc(60, centre, radius), offset, (120, 120))
        (outline,) = hand.contours()

        assert outline.dtype == np.float32
        errors = np.linalg.norm(outline - np.add(centre, offset), axis=1) - radius
        assert np.sqrt(np.mean(errors**2)) < 0.07
        assert np.abs(errors).max() < 0.15
        assert signed_area(outline) == pytest.approx(
            -np.pi * radius**2, abs=0.1 * 2 * np.pi * radius
        )

    def test_keep_holes_and_turn_them_the_other_way(self) -> None:
        ring = make_disc(60, (30, 30), 20) - make_disc(60, (30, 30), 8)
        speck = np.pad(make_disc(7, (3, 3), 2.5), ((0, 53), (0, 53)))
        outer, hole, small = make_hand(ring + speck, shape=(60, 60)).contours()

        assert signed_area(outer) == pytest.approx(-np.pi * 20**2, rel=0.01)
        assert signed_area(hole) == pytest.approx(np.pi * 8**2, rel=0.01)
        assert signed_area(small) == pytest.approx(-np.pi * 2.5**2, rel=0.05)

    def test_follow_the_frame_where_it_cuts_the_hand(self) -> None:
        (outline,) = make_hand(np.ones((6, 8), bool)).contours()
        np.testing.assert_array_equal(outline.min(axis=0), [-0.5, -0.5])
        np.testing.assert_array_equal(outline.max(axis=0), [7.5, 5.5])

    @pytest.mark.parametrize(("bright", "pieces"), [(255, 1), (128, 2)])
    def test_pixels_that_touch_at_a_corner_hold_together_when_their_mean_does(
        self, bright: int, pieces: int
    ) -> None:
        hand = make_hand(np.array([[bright, 100], [100, bright]], np.uint8), (2, 2))
        assert len(hand.contours()) == pieces

    @given(
        alpha=npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=8)),
    )
    @settings(deadline=None, max_examples=200)
    def test_enclose_the_mask_and_nothing_else(self, alpha: np.ndarray) -> None:
        hand = make_hand(alpha, (1, 2), (12, 12))
        polygons = hand.contours()

        mask = hand.mask
        padded = np.pad(mask, 1)
        crossings = (padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum()
        assert sum(map(len, polygons)) == crossings
        for y, x in np.ndindex(*mask.shape):
            around = sum(cv2.pointPolygonTest(line, (x, y), False) > 0 for line in polygons)
            assert around % 2 == mask[y, x]
        for polygon in polygons:
            steps = np.linalg.norm(polygon - np.roll(polygon, 1, axis=0), axis=1)
            assert steps.max() <= np.sqrt(2) + 1e-5
        areas = [abs(signed_area(polygon)) for polygon in polygons]
        assert all(a >= b - 1e-4 for a, b in itertools.pairwise(areas))


def blurred_disc(blur: float = 1.0) -> tuple[np.ndarray, Hand]:
    """A red disc on green as a lens shows it, and the hand with the disc's exact alpha."""
    y, x = np.mgrid[:400, :400]
    alpha = np.clip(180.5 - np.hypot(x - 200, y - 200), 0, 1).astype(np.float32)
    share = cv2.GaussianBlur(alpha, (0, 0), blur)[..., None]
    photo = (share * (220, 10, 30) + (1 - share) * (20, 210, 40)).round().astype(np.uint8)
    return photo, make_hand(alpha, (0, 0), shape=(400, 400))


@pytest.fixture
def two_hands() -> HandSegmentation:
    """A soft hand with landmarks, and a user's that is cut by the left edge and overlaps it."""
    return HandSegmentation(
        make_photo(),
        (
            make_hand(SOFT, (2, 1), landmarks=LANDMARKS, handedness="left", score=0.75),
            make_hand(np.full((2, 4), 0.6, np.float32), (-1, 3), predicted_iou=0.5),
        ),
    )


class TestSegmentation:
    def test_is_a_collection_of_hands(self, two_hands: HandSegmentation) -> None:
        assert len(two_hands) == 2
        assert tuple(two_hands) == two_hands.hands
        assert HandSegmentation(two_hands.image, list(two_hands)).hands == two_hands.hands  # type: ignore[arg-type]

    def test_joins_hands_by_their_largest_alpha(self, two_hands: HandSegmentation) -> None:
        one, other = two_hands.hands
        assert (one.mask & other.mask).sum() == 0
        assert two_hands.alpha.dtype == np.float32
        np.testing.assert_array_equal(two_hands.alpha, np.maximum(one.alpha, other.alpha))
        assert two_hands.mask.dtype == bool
        np.testing.assert_array_equal(two_hands.mask, one.mask | other.mask)

    def test_rejects_what_is_no_photo_or_of_another(self) -> None:
        for image in (np.zeros((6, 8), np.uint8), np.zeros((6, 8, 3), np.float32)):
            with pytest.raises(ValueError, match=r"image must be .* uint8 RGB, got"):
                HandSegmentation(image)
        with pytest.raises(ValueError, match=r"hands\[1\] must be .*\(6, 8\), got \(8, 6\)"):
            HandSegmentation(make_photo(), (make_hand(SOFT), make_hand(SOFT, shape=(8, 6))))


class TestCutout:
    @given(
        patches=st.lists(
            st.tuples(
                npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=6)),
                st.tuples(st.integers(-5, 7), st.integers(-5, 5)),
            ),
            max_size=3,
        )
    )
    @settings(deadline=None)
    def test_shows_the_photo_under_the_alpha_and_nothing_of_the_rest(
        self, patches: list[tuple[np.ndarray, tuple[int, int]]]
    ) -> None:
        photo = make_photo()
        hands = tuple(make_hand(alpha, offset) for alpha, offset in patches)
        result = HandSegmentation(photo, hands)

        picture = rgba(result)
        alpha = np.zeros((6, 8), np.uint8)
        for hand in hands:
            alpha = np.maximum(alpha, np.rint(hand.alpha * 255).astype(np.uint8))
        np.testing.assert_array_equal(picture[..., 3], alpha)
        assert (picture[..., :3][alpha == 0] == 0).all()
        hard = np.asarray(result.cutout(edge="hard"))
        np.testing.assert_array_equal(hard[..., :3], photo * (alpha >= 128)[..., None])

        rows, columns = np.nonzero(alpha)
        if len(rows):
            picture = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        np.testing.assert_array_equal(rgba(result, crop=True), picture)

    def test_hard_edge_is_the_mask(self, two_hands: HandSegmentation) -> None:
        alpha = np.asarray(two_hands.cutout(edge="hard"))[..., 3]
        np.testing.assert_array_equal(alpha, two_hands.mask * np.uint8(255))
        soft = np.asarray(two_hands.cutout())[..., 3]
        assert ((soft > 0) & (soft < 255)).any()
        pixels = np.asarray(two_hands.composite("white", edge="hard"))
        np.testing.assert_array_equal(pixels[two_hands.mask], two_hands.image[two_hands.mask])
        assert (pixels[~two_hands.mask] == 255).all()

    def test_no_old_background_shines_through_a_soft_edge(self) -> None:
        photo, hand = blurred_disc()
        pixels = np.asarray(HandSegmentation(photo, (hand,)).composite("black"), int)
        # Green is the background's alone: a share of it would be seen in the rim.
        share = pixels[..., 1] / np.maximum(pixels.sum(-1), 1)
        rim = (hand.alpha > 0.3) & (hand.alpha < 1)
        assert (photo[rim][:, 1] > 60).any()
        assert share[rim].max() < 0.12

    def test_matte_is_as_soft_as_the_photo(self) -> None:
        photo, hand = blurred_disc(blur=2.0)
        result = HandSegmentation(photo, (hand,))
        matte = np.asarray(result.cutout(edge="matte"))[..., 3] / 255
        true = np.clip((photo[..., 0].astype(float) - 20) / 200, 0, 1)  # red is the hand's share
        assert np.abs(matte - true).mean() < 0.65 * np.abs(hand.alpha - true).mean()
        assert matte[0, 0] == 0
        assert matte[200, 200] == 1

    @pytest.mark.parametrize("edge", ["soft", "hard", "matte"])
    def test_every_edge_takes_hands_at_the_frame_and_none_at_all(self, edge: Edge) -> None:
        photo = make_photo((40, 30))
        hand = make_hand(np.full((12, 12), 255, np.uint8), (-3, -4), shape=(40, 30))
        for hands in ((hand,), ()):
            picture = HandSegmentation(photo, hands).cutout(edge=edge)
            assert picture.size == (30, 40)
            assert HandSegmentation(photo, hands).composite("red", edge).size == (30, 40)

    def test_says_what_an_edge_may_be(self, two_hands: HandSegmentation) -> None:
        with pytest.raises(ValueError, match="'soft' or 'hard' or 'matte', got 'fuzzy'"):
            two_hands.cutout(edge="fuzzy")
        with pytest.raises(ValueError, match="edge must be"):
            two_hands.composite("white", edge="fuzzy")

    def test_takes_photos_that_are_views_of_others(self) -> None:
        bgr = make_photo((12, 8))
        view = bgr[::2, :, ::-1]
        result = HandSegmentation(view, (make_hand(np.ones((6, 8), bool)),))
        np.testing.assert_array_equal(rgba(result)[..., :3], view)
        np.testing.assert_array_equal(np.asarray(result.composite("red")), view)
        np.testing.assert_array_equal(np.asarray(HandSegmentation(view).overlay()), view)


class TestComposite:
    @pytest.mark.parametrize("color", ["tomato", "#ff6347", (255, 99, 71), [255, 99, 71]])
    def test_mixes_photo_and_colour(self, two_hands: HandSegmentation, color: Any) -> None:
        picture = two_hands.composite(color)
        assert picture.mode == "RGB"
        alpha = two_hands.alpha[..., None]
        expected = two_hands.image * alpha + np.array([255, 99, 71]) * (1 - alpha)
        np.testing.assert_allclose(np.asarray(picture), expected, atol=0.51)

    @pytest.mark.parametrize("kind", ["array", "pil", "path", "str"])
    def test_covers_the_photo_with_the_middle_of_a_picture(self, tmp_path: Path, kind: str) -> None:
        # Three times as wide as the photo: red, green and blue thirds, of which green is left.
        wide = np.repeat(np.eye(3, dtype=np.uint8) * 255, 16, axis=0)[None].repeat(12, axis=0)
        file = tmp_path / "wide.png"
        Image.fromarray(wide).save(file)
        background: Any = {
            "array": wide, "pil": Image.fromarray(wide), "path": file, "str": str(file)
        }[kind]  # fmt: skip
        picture = np.asarray(HandSegmentation(make_photo()).composite(background))
        assert picture.shape == (6, 8, 3)
        assert (picture[:, 1:-1] == (0, 255, 0)).all()

    @pytest.mark.parametrize(
        "background",
        ["blurple", "#12345", "#ff000080", "missing.png", (1, 2), (0, 0, 256), (0.5, 1.0, 0.0)],
    )
    def test_says_what_a_background_may_be(self, background: Any) -> None:
        with pytest.raises(ValueError, match=r"background must be .*, got"):
            HandSegmentation(make_photo()).composite(background)


class TestOverlay:
    def scene(self, side: int = 120) -> HandSegmentation:
        hands = []
        for number, x in enumerate((10, 75)):
            landmarks = np.random.default_rng(number).uniform((x, 70), (x + 30, 100), (21, 2))
            disc = make_disc(35, (17, 17), 15)
            hands.append(make_hand(disc, (x, 68), (side, side), landmarks=landmarks))
        return HandSegmentation(np.full((side, side, 3), 200, np.uint8), tuple(hands))

    def test_tints_hands_and_leaves_the_photo_as_it_was(self) -> None:
        scene = self.scene()
        before = scene.image.copy()
        picture = scene.overlay((255, 0, 0), landmarks=False, opacity=0.5)
        assert (picture.mode, picture.size) == ("RGB", (120, 120))
        np.testing.assert_array_equal(scene.image, before)
        shown = np.asarray(picture)
        np.testing.assert_allclose(shown[85, 27], [228, 100, 100], atol=1)
        np.testing.assert_array_equal(shown[70, 92], [255, 0, 0])  # the outline
        assert (shown[:40] == 200).all()
        assert (shown[110:] == 200).all()

    def test_gives_each_hand_a_colour_of_its_own(self) -> None:
        shown = np.asarray(self.scene().overlay(landmarks=False)).astype(int)
        assert np.abs(shown[85, 27] - shown[85, 92]).max() > 30

    def test_draws_landmarks_when_asked(self) -> None:
        scene = self.scene()
        with_marks = np.asarray(scene.overlay("blue"))
        without = np.asarray(scene.overlay("blue", landmarks=False))
        white = (with_marks == 255).all(axis=2) & (without != 255).any(axis=2)
        assert white.sum() > 21

    def test_draws_hands_that_the_frame_cuts(self, two_hands: HandSegmentation) -> None:
        assert two_hands.overlay().size == (8, 6)

    def test_scales_its_lines_with_the_photo(self) -> None:
        def outline_pixels(side: int) -> float:
            disc = np.zeros((side, side), np.uint8)
            cv2.circle(disc, (side // 2, side // 2), side // 4, 255, -1, cv2.LINE_AA)
            photo = np.zeros((side, side, 3), np.uint8)
            scene = HandSegmentation(photo, (make_hand(disc, shape=(side, side)),))
            shown = np.asarray(scene.overlay("red", opacity=0))
            return float((shown[side // 2, :, 0] > 127).sum())

        assert 3 < outline_pixels(1600) / outline_pixels(400) < 5

    @pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
    def test_rejects_opacities_out_of_range(self, opacity: float) -> None:
        with pytest.raises(ValueError, match=r"opacity must be in 0..1, got"):
            self.scene().overlay(opacity=opacity)

    def test_rejects_what_is_no_colour(self) -> None:
        with pytest.raises(ValueError, match=r"color must be .* got 'blurple'"):
            self.scene().overlay("blurple")

    def test_notebooks_show_a_small_one(self) -> None:
        result = HandSegmentation(np.zeros((900, 1800, 3), np.uint8))
        with Image.open(io.BytesIO(result._repr_png_())) as picture:
            assert picture.size == (1024, 512)


class TestCoco:
    def test_round_trip(self, two_hands: HandSegmentation) -> None:
        entry = json.loads(json.dumps(two_hands.to_coco(7, 30, file_name="a.jpg")))
        assert entry["image"] == {"id": 7, "width": 8, "height": 6, "file_name": "a.jpg"}
        assert [note["id"] for note in entry["annotations"]] == [30, 31]
        for note, hand in zip(entry["annotations"], two_hands, strict=True):
            assert (note["image_id"], note["category_id"], note["iscrowd"]) == (7, 1, 0)
            np.testing.assert_array_equal(coco_mask.decode(note["segmentation"]), hand.mask)
            assert note["area"] == hand.area
            assert note["score"] == hand.predicted_iou
        assert [note["bbox"] for note in entry["annotations"]] == [[2, 2, 3, 1], [0, 3, 3, 2]]

    def test_says_which_keypoints_lie_in_the_photo(self, two_hands: HandSegmentation) -> None:
        first, second = two_hands.to_coco()["annotations"]
        keypoints = np.reshape(first["keypoints"], (21, 3))
        np.testing.assert_allclose(keypoints[:, :2], LANDMARKS, atol=0.006)
        inside = (LANDMARKS[:, 0] >= -0.5) & (LANDMARKS[:, 0] < 7.5)
        np.testing.assert_array_equal(keypoints[:, 2], np.where(inside, 2, 1))
        assert first["num_keypoints"] == 21
        assert (second["keypoints"], second["num_keypoints"]) == ([0] * 63, 0)

    def test_what_is_held_follows_the_hands(self) -> None:
        held = np.full((2, 3), 255, np.uint8)
        hands = [
            dataclasses.replace(make_hand(SOFT, (2, 1)), object_patch=patch, object_offset=(4, 3))
            for patch in (np.zeros((0, 0), np.uint8), held)
        ]
        left = dataclasses.replace(hands[1], handedness="left", score=0.75)
        entry = HandSegmentation(make_photo(), (hands[0], left)).to_coco(3, first_annotation_id=10)
        entry = json.loads(json.dumps(entry))
        assert [(note["id"], note["category_id"]) for note in entry["annotations"]] == [
            (10, 1), (11, 1), (12, 2),
        ]  # fmt: skip
        assert entry["annotations"][1]["handedness"] == "left"
        assert entry["annotations"][1]["handedness_score"] == 0.75
        note = entry["annotations"][2]
        assert (note["held_by"], note["image_id"], note["area"]) == (11, 3, 6)
        assert note["bbox"] == [4, 3, 3, 2]
        assert "keypoints" not in note
        np.testing.assert_array_equal(coco_mask.decode(note["segmentation"]), left.object_mask)

    def test_file_name_is_left_out_when_there_is_none(self, two_hands: HandSegmentation) -> None:
        assert "file_name" not in two_hands.to_coco()["image"]


class TestSupervision:
    def test_round_trip(self, two_hands: HandSegmentation) -> None:
        sv = pytest.importorskip("supervision")
        detections = two_hands.to_supervision()
        assert len(detections) == 2
        np.testing.assert_array_equal(detections.xyxy, sv.mask_to_xyxy(detections.mask))
        np.testing.assert_array_equal(detections.mask, [hand.mask for hand in two_hands])
        np.testing.assert_allclose(detections.confidence, [0.9, 0.5])
        np.testing.assert_array_equal(detections.class_id, [0, 0])
        assert detections[detections.data["handedness"] == "left"].xyxy.tolist() == [[2, 2, 4, 2]]

    def test_says_what_to_install(
        self, two_hands: HandSegmentation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "supervision", None)
        with pytest.raises(ImportError, match="pip install supervision"):
            two_hands.to_supervision()


def test_to_dict_survives_json(two_hands: HandSegmentation) -> None:
    summary = json.loads(json.dumps(two_hands.to_dict()))
    assert (summary["width"], summary["height"]) == (8, 6)
    first, second = summary["hands"]
    landmarks = first.pop("landmarks")
    np.testing.assert_allclose(landmarks, LANDMARKS, atol=0.006)
    assert first == {
        "box": [2, 2, 4, 2], "handedness": "left", "score": 0.75, "predicted_iou": 0.9, "area": 3
    }  # fmt: skip
    assert (second["landmarks"], second["handedness"], second["score"]) == (None, None, None)


class TestSave:
    @pytest.mark.parametrize("name", ["hand.png", "HAND.TIFF", "hand.webp"])
    def test_writes_the_cutout(
        self, two_hands: HandSegmentation, tmp_path: Path, name: str
    ) -> None:
        two_hands.save(tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            np.testing.assert_array_equal(np.asarray(picture), rgba(two_hands))
        assert [file.name for file in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize("name", ["hand.jpg", "hand.JPEG", "hand.bmp", "hand"])
    def test_refuses_what_cannot_be_transparent(
        self, two_hands: HandSegmentation, tmp_path: Path, name: str
    ) -> None:
        with pytest.raises(ValueError, match=r"cannot write .*hand"):
            two_hands.save(tmp_path / name)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "hands",
    [(), (make_hand(np.zeros((3, 3), bool)),)],
    ids=["no hand", "a hand with an empty mask"],
)
def test_nothing_segmented_is_a_result_like_any_other(
    hands: tuple[Hand, ...], tmp_path: Path
) -> None:
    result = HandSegmentation(make_photo(), hands)
    assert bool(result) == bool(hands)
    assert not result.mask.any()
    assert not result.alpha.any()
    assert result.mask.shape == result.alpha.shape == (6, 8)
    for crop in (False, True):
        picture = rgba(result, crop=crop)
        assert picture.shape == (6, 8, 4)
        assert not picture.any()
    assert (np.asarray(result.composite("white")) == 255).all()
    assert result.overlay().size == (8, 6)
    assert result.contours() == [[] for _ in hands]
    annotations = result.to_coco()["annotations"]
    assert [note["area"] for note in annotations] == [0 for _ in hands]
    json.dumps(annotations)
    assert len(result.to_dict()["hands"]) == len(hands)
    result.save(tmp_path / "empty.png")
    assert (tmp_path / "empty.png").exists()
    pytest.importorskip("supervision")
    assert len(result.to_supervision()) == len(hands)


def test_overlay_of_no_hands_is_the_photo() -> None:
    photo = make_photo()
    np.testing.assert_array_equal(np.asarray(HandSegmentation(photo).overlay()), photo)
