from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_augment import drawn_hand
from tiny_models import FAMILIES, tiny_model

from handseg.errors import TrainingError
from handseg.finetune.lora import features
from handseg.finetune.lora.augment import Augmentation
from handseg.finetune.lora.features import (
    AugmentedHands,
    FeatureCache,
    signature,
)
from handseg.finetune.lora.hands import TrainingHand
from handseg.finetune.losses import LossWeights
from handseg.finetune.sampler import EpochSampler, collate
from handseg.finetune.step import SampledPrompts, forward_loss
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.models.torch_common import image_embeddings
from handseg.prompts import IGNORED, PromptRecipe

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def hands(open_hand: np.ndarray) -> list[TrainingHand]:
    """Two hands with landmarks and one without."""
    first = drawn_hand(open_hand + np.array([300, 300]))
    second = drawn_hand(open_hand * 0.8 + [200, 250])
    return [first, second, TrainingHand(second.photo, None)]


def make_views(hands: list[TrainingHand], size: int, **changes: Any) -> AugmentedHands:
    options: dict[str, Any] = {
        "recipe": PromptRecipe(),
        "augmentation": Augmentation(),
        "views": 3,
        "seed": 5,
    } | changes
    return AugmentedHands(hands, size=size, **options)


def encoder(model: TransformersMaskModel) -> Callable[[np.ndarray], dict[str, Any]]:
    @torch.no_grad()
    def encode(crops: np.ndarray) -> dict[str, Any]:
        return image_embeddings(model.model, model.pixel_values(crops))

    return encode


def filled(folder: Path, views: AugmentedHands, model: TransformersMaskModel) -> FeatureCache:
    cache = FeatureCache(folder, len(views), signature(views, model.model))
    cache.fill(views, encoder(model), cache.shards)
    return cache


def test_an_item_leaves_opencvs_threads_as_they_are(
    hands: list[TrainingHand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "setNumThreads", lambda count: pytest.fail(f"set to {count}"))
    assert make_views(hands, 64)[1]["image"].shape == (64, 64, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_on_cached_features_is_one_on_the_pictures(
    family: str, hands: list[TrainingHand], tmp_path: Path
) -> None:
    model = TransformersMaskModel(tiny_model(family))
    views = make_views(hands, model.input_size)
    cache = filled(tmp_path, views, model)
    rows = [0, 4, 8]
    pictures = collate([views[row] for row in rows])
    pictures["pixel_values"] = model.pixel_values(pictures.pop("image"))
    mix = SampledPrompts(box=True, points=True, skeleton=True, rounds=2)
    outcomes = []
    for batch in (pictures, collate([cache[row] for row in rows])):
        loss, logits = forward_loss(model.model, batch, mix, LossWeights(boundary=1), 3)
        outcomes.append((float(loss.detach()), logits.detach()))
    assert outcomes[0][0] == pytest.approx(outcomes[1][0], rel=0.01)
    scale = float(outcomes[0][1].std())
    assert float((outcomes[0][1] - outcomes[1][1]).abs().mean()) < 0.02 * scale


def test_what_is_there_is_not_made_again(
    hands: list[TrainingHand], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "SHARD", 4)
    model = TransformersMaskModel(tiny_model("edgetam"))
    views = make_views(hands, 64)
    cache = FeatureCache(tmp_path, len(views), signature(views, model.model))
    encoded: list[int] = []

    def encode(crops: np.ndarray) -> dict[str, Any]:
        encoded.append(len(crops))
        if sum(encoded) > 4:
            raise KeyboardInterrupt
        return encoder(model)(crops)

    with pytest.raises(KeyboardInterrupt):
        cache.fill(views, encode, cache.shards, batch=2)
    assert [file.name for file in sorted(tmp_path.glob("*.safetensors"))] == [
        "features-00000.safetensors"
    ]
    again = filled(tmp_path, views, model)
    fresh = filled(tmp_path / "fresh", views, model)
    for row in range(len(views)):
        one, other = again[row], fresh[row]
        assert one.keys() == other.keys()
        torch.testing.assert_close(one["embeddings"], other["embeddings"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"recipe": PromptRecipe(box_reach=0.2)}, "recipe"),
        ({"augmentation": Augmentation(rotation=3)}, "augmentation"),
        ({"seed": 6}, "seed"),
        ({"views": 2}, "views"),
    ],
)
def test_features_of_something_else_are_refused(
    change: dict, named: str, hands: list[TrainingHand], tmp_path: Path
) -> None:
    model = TransformersMaskModel(tiny_model("edgetam"))
    views, other = make_views(hands, 64), make_views(hands, 64, **change)
    FeatureCache(tmp_path, len(other), signature(other, model.model))  # Nothing was written yet.
    filled(tmp_path, views, model)
    filled(tmp_path, views, model)  # the same features again are fine
    with pytest.raises(TrainingError, match=f"other settings: {named}"):
        FeatureCache(tmp_path, len(other), signature(other, model.model))


def test_so_are_those_of_other_weights_data_or_versions(
    hands: list[TrainingHand], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = make_views(hands, 64)
    filled(tmp_path, views, TransformersMaskModel(tiny_model("edgetam")))
    with pytest.raises(TrainingError, match=r"other settings: model\. "):
        FeatureCache(tmp_path, len(views), signature(views, tiny_model("edgetam", seed=1)))
    fewer = make_views(hands[:2], 64)
    with pytest.raises(TrainingError, match=r"other settings: data\. "):
        FeatureCache(tmp_path, len(fewer), signature(fewer, tiny_model("edgetam")))
    older = dict.fromkeys(features._SOFTWARE, "0")
    monkeypatch.setattr("handseg.runtime.versions.versions", lambda: older)
    with pytest.raises(TrainingError, match=r"other settings: versions\.handseg .*, now '0'"):
        FeatureCache(tmp_path, len(views), signature(views, tiny_model("edgetam")))


def test_a_damaged_file_is_named(hands: list[TrainingHand], tmp_path: Path) -> None:
    views = make_views(hands, 64)
    filled(tmp_path, views, TransformersMaskModel(tiny_model("edgetam")))
    file = tmp_path / "features-00000.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    cache = FeatureCache(tmp_path, len(views), signature(views, tiny_model("edgetam")))
    with pytest.raises(TrainingError, match=r"features-00000\.safetensors"):
        cache[0]


def test_an_open_cache_goes_to_a_worker_process(hands: list[TrainingHand], tmp_path: Path) -> None:
    cache = filled(tmp_path, make_views(hands, 64), TransformersMaskModel(tiny_model("edgetam")))
    before = cache[1]["embeddings"]
    torch.testing.assert_close(pickle.loads(pickle.dumps(cache))[1]["embeddings"], before)


class Numbers(torch.utils.data.Dataset):
    def __getitem__(self, index: int) -> Any:
        return index


@given(
    hands=st.integers(1, 12),
    views=st.integers(1, 4),
    seed=st.integers(0, 99),
    first=st.integers(0, 40),
    count=st.integers(1, 40),
)
def test_each_pass_shows_each_hand_once_in_its_next_view(
    hands: int, views: int, seed: int, first: int, count: int
) -> None:
    order = EpochSampler(Numbers(), hands, views, seed)
    run = [order.between(0, first + count)[n] for n in range(first + count)]
    for turn in range(len(run) // hands):
        shown = run[turn * hands : (turn + 1) * hands]
        assert sorted(item // views for item in shown) == list(range(hands))
        assert {item % views for item in shown} == {turn % views}
    part = order.between(first, first + count)
    assert [part[n] for n in range(len(part))] == run[first:]


def test_a_batch_is_padded_with_ignored_points(hands: list[TrainingHand]) -> None:
    views = make_views(hands, 64)
    items = [views[0], views[6]]
    assert items[0]["labels"].shape[-1] > items[1]["labels"].shape[-1] == 5
    batch = collate(items)
    assert batch["points"].shape[:2] == (2, 1)
    assert (batch["labels"][1, 0, 5:] == IGNORED).all()
    torch.testing.assert_close(batch["points"][1, :, :5], items[1]["points"])
