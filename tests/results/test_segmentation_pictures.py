from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from made_hands import make_disc, make_hand, make_photo, rgba
from PIL import Image, ImageShow

from handseg.errors import ImageError
from handseg.results import Edge, Hand, HandSegmentation


def blurred_disc(blur: float = 1.0) -> tuple[np.ndarray, Hand]:
    """Draw a red disc on green, blurred as by a lens, and the hand with its exact alpha."""
    y, x = np.mgrid[:400, :400]
    alpha = np.clip(180.5 - np.hypot(x - 200, y - 200), 0, 1).astype(np.float32)
    share = cv2.GaussianBlur(alpha, (0, 0), blur)[..., None]
    photo = (share * (220, 10, 30) + (1 - share) * (20, 210, 40)).round().astype(np.uint8)
    return photo, make_hand(alpha, (0, 0), shape=(400, 400))


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
        # Only the background is green: any share of it would show in the rim.
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
        # Three times as wide as the photo, in red, green and blue thirds; green remains.
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

    def test_show_opens_it_in_a_viewer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[Image.Image] = []

        class Viewer(ImageShow.Viewer):
            def show_image(self, image: Image.Image, **options: Any) -> int:
                seen.append(image)
                return 1

        monkeypatch.setattr(ImageShow, "_viewers", [Viewer()])
        result = self.scene()
        result.show()
        (picture,) = seen
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(result.overlay()))

    def test_show_says_that_there_is_no_viewer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ImageShow, "_viewers", [])
        with pytest.raises(ImageError, match=r"no image viewer .* overlay\(\)\.save"):
            self.scene().show()


def test_overlay_of_no_hands_is_the_photo() -> None:
    photo = make_photo()
    np.testing.assert_array_equal(np.asarray(HandSegmentation(photo).overlay()), photo)


class TestSave:
    def test_is_not_what_cutout_does(self, two_hands: HandSegmentation) -> None:
        with pytest.raises(TypeError, match=r"crop .* got 'hand\.png': use save"):
            two_hands.cutout("hand.png")  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["hand.png", "HAND.TIFF", "hand.webp"])
    def test_writes_the_cutout(
        self, two_hands: HandSegmentation, tmp_path: Path, name: str
    ) -> None:
        two_hands.save(tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            np.testing.assert_array_equal(np.asarray(picture), rgba(two_hands))
        assert [file.name for file in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize("name", ["hand.png", "hand.tif"])
    def test_keeps_the_resolution_of_the_photo(
        self, two_hands: HandSegmentation, tmp_path: Path, name: str
    ) -> None:
        replace(two_hands, dpi=(300, 150)).save(tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert tuple(map(round, picture.info["dpi"])) == (300, 150)

    @pytest.mark.parametrize("name", ["hand.jpg", "hand.JPEG", "hand.bmp", "hand"])
    def test_refuses_what_cannot_be_transparent(
        self, two_hands: HandSegmentation, tmp_path: Path, name: str
    ) -> None:
        with pytest.raises(ValueError, match=r"cannot write .*hand"):
            two_hands.save(tmp_path / name)
        assert not list(tmp_path.iterdir())
