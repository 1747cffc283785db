from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from handseg.data.image_mask import find_pairs
from handseg.finetune.finder.close_ups import CloseUps
from handseg.finetune.finder.export import read_weights
from handseg.finetune.finder.network import FinderNetwork
from handseg.finetune.finder.photos import (
    FinderPhoto,
    OutlinedHand,
    boxed,
    empty,
    masked,
    rendered,
)
from handseg.finetune.finder.samples import PASTED, FinderSamples, still_seen
from handseg.finetune.finder.settings import FinderConfig, FinderData
from handseg.finetune.finder.task import WEIGHTS, finished
from handseg.landmarks.close_ups import REACH, SIDE
from handseg.landmarks.finder import BUNDLED_FINDER, STRIDE, HandFinder, decode
from handseg.runtime.onnx_graph import Graph


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, photo_folder: Path) -> Path:
    """Photos with masks, the same with boxes, as if rendered, and one without hands."""
    root = tmp_path_factory.mktemp("data")
    (root / "photos").symlink_to(photo_folder)
    for name in ("boxed", "rendered/images", "rendered/instances", "rendered/truth", "empty"):
        (root / name).mkdir(parents=True)
    (root / "boxed" / "images").symlink_to(photo_folder / "images")
    boxes = {}
    for pair in find_pairs(photo_folder):
        image, mask = pair.load()
        rows, columns = np.nonzero(mask)
        box = [int(one) for one in (columns.min(), rows.min(), columns.max(), rows.max())]
        stem = pair.image_path.stem
        boxes[stem] = [{"box": box}]
        cv2.imwrite(str(root / "rendered" / "images" / f"{stem}.jpg"), image[..., ::-1])
        cv2.imwrite(str(root / "rendered" / "instances" / f"{stem}.png"), mask.astype(np.uint8))
        hand = {
            "handedness": "left",
            "landmarks": [[(box[0] + box[2]) / 2, box[3]]] * 21,
            "pixels": int(mask.sum()),
            "gloved": False,
        }
        (root / "rendered" / "truth" / f"{stem}.json").write_text(json.dumps({"hands": [hand]}))
    (root / "boxed" / "boxes.json").write_text(json.dumps(boxes))
    rng = np.random.default_rng(0)
    cv2.imwrite(str(root / "empty" / "noise.png"), rng.integers(0, 255, (90, 120, 3), np.uint8))
    return root


def test_a_picture_depends_on_its_number_alone(data: Path, tmp_path: Path) -> None:
    photos = [
        *rendered(data, "rendered"),
        *boxed(data, "boxed"),
        *masked(data, "photos", tmp_path),
        *empty(data, "empty"),
    ]
    assert sum(photo.example is not None for photo in photos) == 4
    weights = {"rendered": 1.0, "boxed": 1.0, "photos": 1.0, "empty": 0.5, PASTED: 2.0}
    one, other = (FinderSamples(photos, weights, 128, 20, seed=1) for _ in range(2))
    hands = sum(len(one.picture(index)[1]) for index in range(60))
    assert hands > 40
    for name, values in one[7].items():
        np.testing.assert_array_equal(values, other[7][name])


def red_ellipse() -> tuple[np.ndarray, list[OutlinedHand]]:
    """Return a photo with a red hand, its wrist at the right end."""
    image, mask = np.full((200, 260, 3), 90, np.uint8), np.zeros((200, 260), np.uint8)
    cv2.ellipse(mask, (120, 90), (60, 30), 20, 0, 360, 1, -1)
    image[mask > 0] = (250, 20, 20)
    places = cv2.findNonZero(mask)
    assert places is not None
    hull = cv2.convexHull(places).reshape(-1, 2).astype(np.float32)
    return image, [OutlinedHand(hull, 1.0, hull[hull[:, 0].argmax()])]


def green_square() -> tuple[np.ndarray, list[OutlinedHand]]:
    """Return a photo without hands."""
    return np.full((90, 90, 3), (20, 250, 20), np.uint8), []


def test_boxes_and_wrists_are_where_the_picture_shows_them() -> None:
    photo = FinderPhoto("red/one", "red", red_ellipse)
    # Small hand-free pictures are pasted next to hands, never onto them.
    green = FinderPhoto("green/one", "green", green_square, is_empty=True)
    samples = FinderSamples([photo, green], {"red": 1.0}, 160, 40, seed=2)
    compared = with_small = 0
    for index in range(60):
        image, hands = samples.picture(index)
        colors = image.astype(int)
        with_small += (colors[..., 1] - colors[..., ::2].max(-1) > 60).sum() > 50
        red = colors[..., 0] - colors[..., 1:].max(-1) > 60
        places = cv2.findNonZero(cv2.erode(red.astype(np.uint8), np.ones((3, 3))))
        if not hands or hands[0].doubtful or places is None:
            continue
        x, y, width, height = cv2.boundingRect(places)
        shown = [x - 1, y - 1, x + width, y + height]  # Eroded by a pixel.
        np.testing.assert_allclose(hands[0].box, shown, atol=4)
        # The ellipse's end is as far away as red reaches in that direction.
        middle = (hands[0].box[:2] + hands[0].box[2:]) / 2
        if (hands[0].box[:2] > 1).all() and (hands[0].box[2:] < 158).all():
            along = ((places.reshape(-1, 2) - middle) @ hands[0].wrist).max()
            assert along > 0.6 * np.linalg.norm(hands[0].box[2:] - hands[0].box[:2]) / 2
        compared += 1
    assert compared > 40
    assert with_small > 5


def test_hands_under_another_hand_and_its_arm_are_no_targets() -> None:
    corners = np.array([[10, 10], [50, 10], [50, 50], [10, 50]], np.float32)
    clear, half, hidden = (OutlinedHand(corners + np.array([60 * place, 0])) for place in range(3))
    doubtful = OutlinedHand(corners + np.array([0, 60]), doubtful=True)
    arm = np.zeros((160, 200), np.float32)
    arm[:, 90:] = 1
    seen = still_seen([clear, half, hidden, doubtful], arm)
    boxes = [(tuple(hand.hull.min(0)), hand.doubtful) for hand in seen]
    assert boxes == [((10, 10), False), ((70, 10), True), ((10, 70), True)]


def test_boxes_are_not_shifted_where_photos_shrink() -> None:
    image, (hand,) = red_ellipse()
    large = cv2.resize(image, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)
    moved = OutlinedHand(hand.hull * 6 + 2.5, hand.right, hand.wrist * 6 + 2.5)
    photo = FinderPhoto("red/one", "red", lambda: (large, [moved]))
    green = FinderPhoto("green/one", "green", green_square, is_empty=True)
    samples, errors = FinderSamples([photo, green], {"red": 1.0}, 160, 0, seed=3), []
    for index in range(80):
        picture, hands = samples.picture(index)
        colors = picture.astype(int)
        red = colors[..., 0] - colors[..., 1:].max(-1) > 60
        if hands and (hands[0].box > 2).all() and (hands[0].box < 157).all():
            rows, columns = np.nonzero(red)
            middle = [np.ptp(columns) / 2 + columns.min(), np.ptp(rows) / 2 + rows.min()]
            errors.append((hands[0].box[:2] + hands[0].box[2:]) / 2 - middle)
    assert len(errors) > 20
    assert np.abs(np.median(errors, axis=0)).max() < 0.2


def test_mirrored_hands_are_of_the_other_side(data: Path) -> None:
    samples = FinderSamples([*rendered(data, "rendered")], {"rendered": 1.0}, 128, 0, seed=0)
    sides = {hand.right for index in range(20) for hand in samples.picture(index)[1]}
    assert sides == {0.0, 1.0}


def test_close_ups_show_hands_and_places_that_are_none(data: Path) -> None:
    pictures = FinderSamples([*rendered(data, "rendered")], {"rendered": 1.0}, 320, 0, seed=0)
    samples, shown = CloseUps(pictures), []
    for index in range(40):
        item, again = samples[index], samples[index]
        assert item["pixels"].shape == (3, SIDE, SIDE)
        for name in item:
            torch.testing.assert_close(item[name], again[name], equal_nan=True)
        shown.append(bool((item["heat"] == 1).any()))
        assert pictures.picture(index)[1] or not shown[-1]
    assert 10 < sum(shown) < 40


def test_a_close_up_of_a_hand_has_it_in_the_middle(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CloseUps, "_place", lambda self, image, hands, rng: hands[0].box)
    pictures = FinderSamples([*rendered(data, "rendered")], {"rendered": 1.0}, 320, 0, seed=0)
    for index in range(20):
        if not pictures.picture(index)[1] or pictures.picture(index)[1][0].doubtful:
            continue
        values = CloseUps(pictures)[index]["values"].numpy()
        ((row, column),) = np.argwhere(~np.isnan(values[0]))
        width, height, x, y = values[:4, row, column]
        middle = (np.array([column + x, row + y]) + 0.5) * STRIDE - 0.5
        np.testing.assert_allclose(middle, (SIDE - 1) / 2, atol=0.5)
        assert np.exp(max(width, height)) * STRIDE == pytest.approx(SIDE / REACH, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("close_ups", [False, True])
def test_a_run_leaves_a_finder(data: Path, tmp_path: Path, close_ups: bool) -> None:
    config = {
        "data": {
            "rendered": {"rendered": 1.0},
            "boxes": {"boxed": 1.0},
            "masked": {"photos": 1.0},
            "empty": {"empty": 0.5},
            "held_out": ["boxed/"],
        },
        "close_ups": close_ups,
        "image_size": 96,
        "epochs": 2,
        "epoch_samples": 4,
        "batch_size": 2,
        "validation_samples": 4,
        "workers": 0,
    }
    (tmp_path / "finder.yaml").write_text(yaml.safe_dump(config))
    command = [
        *(sys.executable, "-m", "handseg.finetune.finder", "--data", str(data)),
        *("--config", str(tmp_path / "finder.yaml"), "--output", str(tmp_path / "run")),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "epoch 2 step 4 loss" in done.stdout
    image = find_pairs(data / "photos")[0].load()[0]
    file = tmp_path / "run" / "finder.onnx"
    # An untrained network is sure of nothing.
    if close_ups:
        (maps,) = Graph(file).run({"pixels": np.zeros((1, SIDE, SIDE, 3), np.uint8)})
        found = decode(maps[0], 1e-6)
    else:
        found = HandFinder(file).find(image, least=1e-6)
    assert found
    assert all(np.isfinite(one.box).all() for one in found)
    assert (tmp_path / "run" / "finder.onnx").stat().st_size < 5_000_000


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_finder_keeps_a_share_of_the_weights_it_started_from(
    tmp_path: Path, share: float
) -> None:
    before = read_weights(BUNDLED_FINDER)
    network = FinderNetwork()
    network.load_state_dict({name: one + 1 for name, one in before.items()}, strict=False)
    save_file(network.state_dict(), tmp_path / WEIGHTS)
    config = FinderConfig(
        data=FinderData(rendered={}, boxes={}, masked={}, empty={}),
        init="hand-finder",
        init_share=share,
    )
    weights = finished(config, tmp_path).state_dict()
    for name in ("stem.0.weight", "out.bias", "head.0.2.running_var"):
        torch.testing.assert_close(weights[name], before[name] + (1 - share))


def test_there_is_nothing_to_average_with_imagenet() -> None:
    nothing = FinderData(rendered={}, boxes={}, masked={}, empty={})
    with pytest.raises(ValueError, match="init_share needs init"):
        FinderConfig(data=nothing, init_share=0.5)


def test_wrong_settings_are_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "finder.yaml").write_text(
        "data: {rendered: {}, boxes: {}, masked: {}, empty: {}, rendred: {}}"
    )
    command = [
        *(sys.executable, "-m", "handseg.finetune.finder", "--data", str(data)),
        *("--config", str(tmp_path / "finder.yaml"), "--output", str(tmp_path / "run")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    assert "rendred" in done.stderr
    assert "Traceback" not in done.stderr
