"""Hands of known size, drawn as a camera sees them: scales, tilts, heights and intervals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from measured_scenes import WIDTHS_MM, Camera, add_tilted_coin, draw_hand, palm_with_coin

from handseg.errors import MeasurementError
from handseg.measure import FINGERS, find_card, find_coin, measure_hand
from handseg.measure.coin import FLATTEST, best_coin, find_coins
from handseg.measure.rim import Coin
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter

NAMES = ("index", "middle", "ring", "little")
PALM = (10.0, -5.0, 25.75)
BESIDE = (-75.0, 20.0, 25.75)


class TestIntervals:
    def test_hold_the_truth(self) -> None:
        """Heights, lenses and tilts as the model has them, with noise and blur."""
        generator = np.random.default_rng(3)
        inside = []
        for seed in range(12):
            camera = Camera(
                side=700,
                focal=float(generator.lognormal(0, 0.25)),
                distance=float(generator.uniform(330, 420)),
                tilt=float(generator.uniform(0, 20)),
                turn=float(generator.uniform(0, 360)),
            )
            camera = replace(camera, distance=camera.distance * camera.focal)
            scene = draw_hand(
                camera, (PALM,), height=float(np.clip(generator.normal(14, 10), -6, 34)),
                noise=float(generator.uniform(1, 8)), blur=float(generator.uniform(0.5, 2)),
                seed=seed,
            )  # fmt: skip
            for finger in measure_hand(scene, scale="2 euro"):
                if not finger.reason:
                    low, high = finger.width_range
                    inside.append(low <= WIDTHS_MM[finger.name] <= high)
        assert len(inside) >= 44
        assert np.mean(inside) >= 0.92

    def test_are_narrower_when_the_scale_is_known(self) -> None:
        scene = draw_hand(Camera(), (PALM,))
        by_coin = measure_hand(scene, scale="2 euro")["ring"].width_range
        known = measure_hand(scene, mm_per_px=370 / 900)["ring"].width_range
        assert known[0] <= WIDTHS_MM["ring"] <= known[1]
        assert known[1] - known[0] < 0.7 * (by_coin[1] - by_coin[0])

    def test_are_wider_for_a_smaller_photo(self) -> None:
        wide, narrow = (
            np.ptp(measure_hand(draw_hand(Camera(side=side)), mm_per_px=scale)["ring"].width_range)
            for side, scale in ((400, 370 / 400), (1200, 370 / 1200))
        )
        assert wide > 1.5 * narrow


class TestCoins:
    @pytest.mark.parametrize("tilt", [0.0, 12.0, 24.0])
    @pytest.mark.parametrize("turn", [0.0, 70.0])
    def test_give_widths_from_an_angle(self, tilt: float, turn: float) -> None:
        camera = Camera(tilt=tilt, turn=turn)
        measured = measure_hand(draw_hand(camera, (PALM,)), scale="2 euro")
        assert measured.tilt == pytest.approx(tilt, abs=6 if tilt < 5 else 4)
        # A coin does not tell which side of a tilted hand is nearer: 7 cm away, that is
        depth = 70 * np.sin(np.radians(tilt)) / camera.distance
        for name in NAMES:
            finger = measured[name]
            assert finger.width_mm == pytest.approx(WIDTHS_MM[name], rel=0.03 + depth)
            low, high = finger.joint_range
            assert low <= WIDTHS_MM[name] <= high

    def test_straighten_lengths(self) -> None:
        straight, aslant = (
            measure_hand(draw_hand(Camera(tilt=tilt, distance=3300, focal=9), (PALM,)), scale=25.75)
            for tilt in (0.0, 25.0)
        )
        for name in NAMES:
            ratio = aslant[name].length_px / straight[name].length_px
            assert ratio < 0.95  # as seen by the camera
            assert aslant[name].length_mm == pytest.approx(straight[name].length_mm, rel=0.05)

    def test_beside_the_hand(self) -> None:
        scene = draw_hand(Camera(), (BESIDE,), height=-6)
        coin = find_coin(scene.image, scene.hands[0], 25.75)
        assert not coin.on_hand
        measured = measure_hand(scene, scale="2 euro")
        for name in NAMES:
            assert measured[name].width_mm == pytest.approx(WIDTHS_MM[name], rel=0.03)

    def test_two_are_checked_against_each_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = draw_hand(Camera(), ((-2.0, -12.0, 25.75), (27.0, 8.0, 21.25)))
        measured = measure_hand(scene, scale=["5 cent", "2 euro"])
        assert len(measured.coins) == 2
        assert measured["ring"].width_mm == pytest.approx(WIDTHS_MM["ring"], rel=0.03)
        with pytest.raises(MeasurementError, match="the two coins disagree"):
            measure_hand(scene, scale=["2 euro", "20 cent"])
        coins = find_coins(scene.image, scene.hands[0], 25.75)
        sure = [replace(coin, support=1.0) for coin in sorted(coins, key=lambda one: one.diameter)]
        monkeypatch.setattr("handseg.measure.plane.find_coins", lambda *_: sure)
        swapped = measure_hand(scene, scale=["5 cent", "2 euro"])
        assert swapped.mm_per_px == pytest.approx(measured.mm_per_px, rel=1e-3)
        monkeypatch.undo()
        with pytest.raises(MeasurementError, match="name both"):
            measure_hand(scene, scale="2 euro")
        with pytest.raises(MeasurementError, match="only one"):
            measure_hand(draw_hand(Camera(), (PALM,)), scale=["2 euro", "2 euro"])

    def test_one_that_cannot_be_measured_does_not_spoil_another(self) -> None:
        scene = draw_hand(Camera(), (BESIDE,), height=-6)
        both = add_tilted_coin(scene, PALM, Camera())
        tilted, _ = find_coins(both.image, both.hands[0], 25.75)
        assert tilted.on_hand
        assert tilted.ratio < FLATTEST
        coin = find_coin(both.image, both.hands[0], 25.75)
        assert not coin.on_hand
        assert coin.ratio > 0.99
        (used,) = measure_hand(both, scale="2 euro").coins
        np.testing.assert_allclose(used.centre, coin.centre)

    def test_what_looks_less_like_a_coin_does_not_replace_one(self) -> None:
        """Such as a ring with a stone."""
        tilted = Coin(np.array([100.0, 100.0]), 50.0, 0.8, support=0.92)
        ring = Coin(np.array([40.0, 40.0]), 40.0, 0.97, support=0.79)
        with pytest.raises(MeasurementError, match="tilted too much"):
            best_coin([tilted, ring], (200, 200, 3))
        assert best_coin([replace(tilted, support=0.85), ring], (200, 200, 3)) is ring

    def test_each_of_two_must_be_measurable(self) -> None:
        scene = draw_hand(Camera(), ((-2.0, -12.0, 25.75),))
        both = add_tilted_coin(scene, (27.0, 8.0, 21.25), Camera())
        with pytest.raises(MeasurementError, match="tilted too much"):
            measure_hand(both, scale=["2 euro", "5 cent"])

    def test_refuses_those_that_cannot_be_measured(self) -> None:
        with pytest.raises(MeasurementError, match="tilted"):
            measure_hand(draw_hand(Camera(tilt=35), (PALM,)), scale="2 euro")
        with pytest.raises(MeasurementError, match="no complete coin is found"):
            measure_hand(draw_hand(Camera()), scale="2 euro")
        with pytest.raises(MeasurementError, match=r"no complete coin|cut off by the"):
            measure_hand(draw_hand(Camera(), ((-182.0, 20.0, 25.75),), height=-6), scale="2 euro")
        small = Camera(side=190, distance=400)
        with pytest.raises(MeasurementError, match="px wide, at least 14"):
            measure_hand(draw_hand(small, (PALM,), blur=0.5, noise=1), scale="2 euro")


class TestCard:
    @pytest.mark.parametrize(("tilt", "turn"), [(0.0, 0.0), (15.0, 40.0), (25.0, 200.0)])
    def test_is_found_beside_the_hand(self, tilt: float, turn: float) -> None:
        camera = Camera(side=1100, focal=0.8, distance=420, tilt=tilt, turn=turn)
        scene = draw_hand(camera, card=(-95.0, 30.0, 70.0), height=-6)
        card = find_card(scene.image, scene.hands[0])
        assert card.support > 0.9
        measured = measure_hand(scene, scale="card")
        assert measured.tilt == pytest.approx(tilt, abs=10)
        for name in NAMES:
            finger = measured[name]
            assert finger.width_mm == pytest.approx(WIDTHS_MM[name], rel=0.04)
            low, high = finger.width_range
            assert low <= WIDTHS_MM[name] <= high

    def test_is_found_on_a_palm_above_planks(self) -> None:
        camera = Camera(side=1100, focal=0.8, distance=420)
        scene = draw_hand(camera, card=(4.0, 0.0, 12.0))
        y, x = np.mgrid[: camera.side, : camera.side]
        joints = (0.3 * x + y) % 60 < 8
        image = np.where((joints & ~scene.mask)[..., None], scene.image // 2, scene.image)
        planks = HandSegmentation(image, scene.hands)
        found = find_card(planks.image, planks.hands[0]).corners
        np.testing.assert_allclose(found, find_card(scene.image, scene.hands[0]).corners, atol=1)

    def test_that_is_not_there(self) -> None:
        with pytest.raises(MeasurementError, match="no card with all four sides is found"):
            measure_hand(draw_hand(Camera()), scale="card")

    def test_is_no_pane_of_a_window(self, segmenter: HandSegmenter, photo_folder: Path) -> None:
        """Its edges run on beyond the corners, and those opposite each other are not parallel."""
        photo = photo_folder / "images" / "2_pic00174.jpg"
        with pytest.raises(MeasurementError, match="no card with all four sides"):
            segmenter.measure(photo, scale="card")


class TestHands:
    def test_that_lies_under_the_coin_is_taken(self) -> None:
        scene = draw_hand(Camera(), (PALM,))
        other = replace(scene.hands[0], landmarks=scene.hands[0].landmarks * 0.2)
        both = HandSegmentation(scene.image, (other, scene.hands[0]))
        assert measure_hand(both, scale="2 euro")["ring"].width_mm == pytest.approx(
            measure_hand(scene, scale="2 euro")["ring"].width_mm
        )
        with pytest.raises(MeasurementError, match="2 hands are found"):
            measure_hand(both, mm_per_px=0.4)

    def test_that_lies_under_one_of_two_coins_is_taken(self) -> None:
        scene = draw_hand(Camera(), (BESIDE, (10.0, -5.0, 21.25)), height=4)
        other = replace(scene.hands[0], landmarks=scene.hands[0].landmarks * 0.2)
        both = HandSegmentation(scene.image, (other, scene.hands[0]))
        larger, smaller = measure_hand(both, scale=["2 euro", "5 cent"]).coins
        assert not larger.on_hand
        assert smaller.on_hand

    def test_outside_the_photo_has_no_coin_or_card(self) -> None:
        scene = draw_hand(Camera(side=200))
        away = replace(scene.hands[0], landmarks=scene.hands[0].landmarks + 900)
        for scale in ("2 euro", "card"):
            with pytest.raises(MeasurementError, match="is found"):
                measure_hand(HandSegmentation(scene.image, (away,)), scale=scale)

    def test_without_landmarks_does_not_count(self) -> None:
        scene = draw_hand(Camera())
        boxed = replace(scene.hands[0], landmarks=None)
        measured = measure_hand(
            HandSegmentation(scene.image, (boxed, scene.hands[0])), mm_per_px=370 / 900
        )
        assert measured["ring"].width_mm == pytest.approx(WIDTHS_MM["ring"], rel=0.02)

    def test_that_is_not_there(self) -> None:
        nobody = HandSegmentation(draw_hand(Camera(side=200)).image, ())
        with pytest.raises(MeasurementError, match="no hand is found"):
            measure_hand(nobody, scale="2 euro")

    def test_out_of_focus_or_too_small(self) -> None:
        blurred = measure_hand(draw_hand(Camera(), blur=9), mm_per_px=0.41)
        assert "out of focus" in blurred["ring"].reason
        tiny = measure_hand(draw_hand(Camera(side=200, distance=450)), mm_per_px=2.5)
        assert "px wide, at least 12" in tiny["little"].reason
        assert list(FINGERS) == [finger.name for finger in tiny]


class TestOneCall:
    """`HandSegmenter.measure`, with the bundled model."""

    def test_segments_and_measures(self, segmenter: HandSegmenter) -> None:
        photo = palm_with_coin()
        measured = segmenter.measure(photo, scale="2 euro")
        assert [finger.reason for finger in measured] == [""] * 5
        assert measured.mm_per_px == pytest.approx(25.75 / 83, rel=0.01)
        np.testing.assert_array_equal(measured.result.image, photo)
        by_hand = measure_hand(segmenter.segment(photo), scale="2 euro")
        assert measured["ring"].width_mm == pytest.approx(by_hand["ring"].width_mm)
        assert measured.overlay().size == (640, 640)

    def test_passes_options_on(self, segmenter: HandSegmenter) -> None:
        with pytest.raises(MeasurementError, match="no landmarks"):
            segmenter.measure(palm_with_coin(), mm_per_px=0.3, boxes=[90, 160, 639, 620])
        with pytest.raises(MeasurementError, match="there is no hand 1"):
            segmenter.measure(palm_with_coin(), 1, mm_per_px=0.3)
        with pytest.raises(TypeError, match="mm_per_pixel"):
            segmenter.measure(palm_with_coin(), mm_per_pixel=0.3)
