"""Networks that label whole photos: configuration, files, outputs, and a segmenter of one."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from red_hands import draw_photo, is_red, save_photo
from red_network import red_labeller
from torch import nn

from handseg.api import load_segmenter
from handseg.data.image_mask import find_pairs
from handseg.errors import ModelError
from handseg.evaluation.report import write_report
from handseg.evaluation.run import NONE, evaluate_pairs
from handseg.models.semantic.config import NetworkConfig
from handseg.models.semantic.model import SemanticModel, is_semantic
from handseg.models.semantic.networks import SmallResidualNet, build_network, statistics
from handseg.models.semantic.preprocess import STEPS, preprocess
from handseg.pipeline.semantic import SemanticSegmenter
from handseg.segmenter import HandSegmenter

SMALL = NetworkConfig("small_resnet", None, image_size=64, filters=16)
ELLIPSE = (80, 60, 40, 30)


@pytest.fixture
def red() -> SemanticModel:
    return red_labeller()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "segnet"}, "architecture must be one of unet.*segnet"),
        ({"classes": ("cup",)}, "classes must be"),
        ({"encoder": None}, "encoder must be null with small_resnet and a name"),
        ({"architecture": "small_resnet"}, "encoder must be null with small_resnet"),
        ({"image_size": 100}, "image_size must be a multiple of 32, got 100"),
        ({"preprocess": ("sobel",)}, "preprocess must be steps of bilateral.*sobel"),
        ({"opening": -1}, "opening must be at least 0"),
        ({"filters": 2}, "filters must be at least 8"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1"),
    ],
)
def test_a_wrong_configuration_is_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(NetworkConfig(), **changes)


@pytest.mark.parametrize("classes", [("hand",), ("hand", "object")])
@pytest.mark.parametrize("side", [32, 96])
def test_the_small_network_keeps_the_size_and_its_limit(classes: tuple, side: int) -> None:
    config = NetworkConfig("small_resnet", None, classes, image_size=side)
    network = build_network(config).eval()
    widths = [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert max(widths) == 128
    assert network(torch.zeros(2, 3, side, side)).shape == (2, len(classes), side, side)


def test_dropout_is_for_training_alone() -> None:
    network = SmallResidualNet(1, 16, 0.5)
    pixels = torch.randn(2, 3, 32, 32)
    assert not torch.equal(network.train()(pixels), network(pixels))
    assert torch.equal(network.eval()(pixels), network(pixels))


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("unet", "resnet18"), ("deeplabv3plus", "resnet18"), ("deeplabv3", "tf_efficientnet_lite0")],
)
def test_library_networks_label_every_pixel(architecture: str, encoder: str) -> None:
    network = build_network(NetworkConfig(architecture, encoder, image_size=64)).eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)


def test_an_unknown_encoder_is_named() -> None:
    with pytest.raises(ModelError, match="resnet19"):
        build_network(NetworkConfig("unet", "resnet19"))


def test_pictures_are_normalised_as_their_encoder_wants() -> None:
    assert statistics("tf_efficientnet_lite0") == ((0.5,) * 3, (0.5,) * 3)
    assert statistics("resnet18")[0] == pytest.approx((0.485, 0.456, 0.406))
    assert statistics(None) == statistics("resnet18")


def test_saved_and_loaded_it_answers_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SemanticModel(build_network(SMALL), replace(SMALL, preprocess=("clahe",), opening=3))
    model.save_pretrained(tmp_path / "model")
    assert is_semantic(tmp_path / "model")
    again = SemanticModel.from_pretrained(tmp_path / "model", device="cpu")
    assert again.config == model.config
    image, _ = draw_photo(ELLIPSE)
    np.testing.assert_allclose(again.probabilities(image), model.probabilities(image), atol=1e-6)
    assert not is_semantic(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "sam"}')
    assert not is_semantic(tmp_path)


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    SemanticModel(build_network(SMALL), SMALL).save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    good = config.read_text()
    config.write_text(good.replace('"filters": 16', '"filters": 32'))
    with pytest.raises(ModelError, match=r"model.safetensors: not this network's weights"):
        SemanticModel.from_pretrained(tmp_path)
    config.write_text(json.dumps(asdict(SMALL) | {"depth": 3}))
    with pytest.raises(ModelError, match=r"config.json: not a network's configuration.*depth"):
        SemanticModel.from_pretrained(tmp_path)
    config.write_text(good)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model.safetensors"):
        SemanticModel.from_pretrained(tmp_path)


def test_a_photo_of_any_shape_is_labelled_at_its_own_size(red: SemanticModel) -> None:
    image, mask = draw_photo((150, 60, 90, 40), size=(300, 120))
    found = red.probabilities(image)
    assert found.shape == (1, 120, 300)
    assert found.dtype == np.float32
    predicted = found[0] > 0.5
    assert (predicted & mask).sum() / (predicted | mask).sum() > 0.95


def test_opening_drops_what_is_thinner_than_its_square() -> None:
    image, mask = draw_photo(ELLIPSE)
    image[5:7, 5:150] = image[60, 80]
    for opening, line in ((0, True), (5, False)):
        found = red_labeller(opening).probabilities(image)[0] > 0.5
        assert found[:10].any() == line
        assert (found & mask).sum() > 0.9 * mask.sum()


def test_a_segmenter_of_one_takes_photos_and_no_prompts(red: SemanticModel) -> None:
    image, mask = draw_photo(ELLIPSE)
    with SemanticSegmenter(red) as segmenter:
        result = segmenter.segment(image)
        (hand,) = result
        assert (hand.mask & mask).sum() / (hand.mask | mask).sum() > 0.95
        assert hand.landmarks is None
        assert hand.handedness is None
        assert 0.8 < hand.predicted_iou <= 1
        # Far from the hand, the picture is transparent.
        assert result.alpha[:10, :10].max() == 0
        both = segmenter.segment_batch([image, image])
        assert all((one.mask == result.mask).all() for one in both)
        for wrong in (
            {"boxes": [[0, 0, 50, 50]]},
            {"points": [[5, 5]], "labels": [1]},
            {"landmarks": np.zeros((21, 2))},
            {"forearm": False},
            {"holes": "fill"},
        ):
            with pytest.raises(ValueError, match=f"{next(iter(wrong))}.*semantic segmentation"):
                segmenter.segment(image, **wrong)


def test_a_photo_without_a_hand_is_an_empty_result(red: SemanticModel) -> None:
    image, _ = draw_photo()
    assert not SemanticSegmenter(red).segment(image)


def test_a_folder_of_one_is_loaded_by_the_segmenter(tmp_path: Path) -> None:
    model = SemanticModel(build_network(SMALL), SMALL)
    SemanticSegmenter(model).save_pretrained(tmp_path / "one")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    image, _ = draw_photo(ELLIPSE)
    with load_segmenter(tmp_path / "one", device="cpu") as segmenter:
        expected = SemanticSegmenter(model).segment(image).alpha
        np.testing.assert_allclose(segmenter.segment(image).alpha, expected, atol=1 / 255)
    wrongs = ("adapter", "recipe", "object_adapter")
    for wrong in ({name: tmp_path / "x"} for name in wrongs):
        with pytest.raises(ModelError, match=f"takes no prompts and no {next(iter(wrong))}"):
            load_segmenter(tmp_path / "one", **wrong)
    with pytest.raises(ModelError, match=r"semantic segmentation network.*handseg.load_segmenter"):
        HandSegmenter.from_pretrained(tmp_path / "one")


def test_steps_before_the_network() -> None:
    rng = np.random.default_rng(0)
    clean, _ = draw_photo(ELLIPSE)
    noisy = np.clip(clean + rng.normal(0, 10, clean.shape), 0, 255).astype(np.uint8)
    noisy.flags.writeable = False
    out = {name: preprocess(noisy, [name]) for name in STEPS}
    for picture in out.values():
        assert picture.shape == noisy.shape
        assert picture.dtype == np.uint8
    flat = np.s_[:20, :20]
    assert out["bilateral"][flat].std(axis=(0, 1)).max() < 5 < noisy[flat].std(axis=(0, 1)).min()
    assert (is_red(out["bilateral"]) == is_red(clean)).mean() > 0.99
    grey = np.repeat(np.linspace(100, 130, 64).astype(np.uint8)[None], 64, 0)
    stretched = preprocess(np.dstack([grey] * 3), ["clahe"])
    assert np.ptp(stretched) > np.ptp(grey)
    assert (preprocess(noisy, []) == noisy).all()


def test_edges_are_painted_where_they_are_and_widened() -> None:
    _, mask = draw_photo(ELLIPSE)
    picture = np.repeat(np.where(mask, 200, 40).astype(np.uint8)[..., None], 3, -1)
    white = (preprocess(picture, ["canny"]) == 255).all(-1)
    rim = np.zeros(mask.shape, np.uint8)
    rim[1:, 1:] = (mask[1:, 1:] != mask[:-1, 1:]) | (mask[1:, 1:] != mask[1:, :-1])
    assert white.sum() > 0.5 * rim.sum()
    assert cv2.dilate(rim, np.ones((5, 5), np.uint8))[white].all()
    wide = (preprocess(picture, ["canny", "dilate"]) == 255).all(-1)
    assert wide[white].all()
    assert wide.sum() > 2 * white.sum()


def test_a_second_output_is_what_the_hand_holds() -> None:
    image, mask = draw_photo(ELLIPSE)
    with SemanticSegmenter(red_labeller(objects=True)) as segmenter:
        (hand,) = segmenter.segment(image, objects=True)
        held = hand.object_mask
        assert held is not None
        assert (held != ~mask).mean() < 0.02
        (batched,) = segmenter.segment_batch([image], objects=True)[0]
        assert (batched.object_mask == held).all()
        (plain,) = segmenter.segment(image)
        assert plain.object_mask is None
    with pytest.raises(ModelError, match="objects: this model labels only hand"):
        SemanticSegmenter(red_labeller()).segment(image, objects=True)


def test_it_is_evaluated_without_prompts(red: SemanticModel, tmp_path: Path) -> None:
    mask = save_photo(tmp_path / "images" / "a.png", ELLIPSE)
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    segmenter = SemanticSegmenter(red)
    evaluation = evaluate_pairs(segmenter, find_pairs(tmp_path))
    assert evaluation.photos[0].metrics.iou > 0.95
    with pytest.raises(ValueError, match=r'prompts must be "none" with this model, got .mask.'):
        evaluate_pairs(segmenter, find_pairs(tmp_path), prompts="mask")
    write_report({"red": {NONE: evaluation}}, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Without prompts." in page
    assert "Prompts from MediaPipe" not in page
