import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import input_size, tiny_model

from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.losses import LossWeights, batch_iou, mask_loss
from handseg.finetune.step import (
    PromptSampling,
    SampledPrompts,
    choose_points,
    correct,
    forward_loss,
)
from handseg.prompts import IGNORED, PromptRecipe
from handseg.runtime.config import from_mapping


def disc(size: int, radius: float) -> torch.Tensor:
    x = torch.arange(size) - (size - 1) / 2
    return (radius - (x[None] ** 2 + x[:, None] ** 2).sqrt()).clamp(-8, 8)


def test_loss_is_lowest_on_the_truth() -> None:
    target = (disc(64, 20)[None] > 0).float()
    valid = torch.ones_like(target)
    losses = [
        float(
            mask_loss(
                disc(32, radius)[None], torch.ones(1), target, valid, LossWeights(iou=0, boundary=0)
            )
        )
        for radius in (6, 8, 10, 12, 14)
    ]
    assert int(np.argmin(losses)) == 2  # 10 at half the size is 20
    assert losses[2] < 0.5 * losses[1]


def test_pixels_outside_of_the_photo_do_not_count() -> None:
    target, valid = torch.zeros(1, 32, 32), torch.ones(1, 32, 32)
    valid[:, :, 16:] = 0
    right = torch.full((1, 16, 16), -8.0)
    wrong = right.clone()
    # A coarse column at the border reaches across it when logits are upsampled.
    wrong[:, :, 10:] = 8.0
    scores = torch.ones(1)
    weights = LossWeights(boundary=0)
    assert torch.isclose(
        mask_loss(wrong, scores, target, valid, weights),
        mask_loss(right, scores, target, valid, weights),
        atol=1e-3,
    )


def test_iou_head_learns_the_masks_own_iou() -> None:
    target = torch.zeros(1, 8, 8)
    target[:, :4] = 1
    logits = torch.full((1, 8, 8), -5.0)
    logits[:, 2:4] = 5
    valid = torch.ones_like(target)
    assert batch_iou(logits, target, valid).item() == pytest.approx(0.5)
    only_iou = LossWeights(focal=0, dice=0, boundary=0, iou=1)
    right = mask_loss(logits, torch.tensor([0.5]), target, valid, only_iou)
    wrong = mask_loss(logits, torch.tensor([1.0]), target, valid, only_iou)
    assert right.item() == pytest.approx(0, abs=1e-6)
    assert wrong.item() == pytest.approx(0.25, abs=1e-6)


def test_iou_of_two_empty_masks_is_one() -> None:
    empty = torch.zeros(1, 4, 4)
    assert batch_iou(empty - 1, empty, torch.ones_like(empty)).item() == 1


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    keep=st.sampled_from([1.0, 0.7, 0.2]),
    seed=st.integers(0, 1000),
)
def test_chosen_points_are_real_points_of_their_row(
    counts: list[int], keep: float, seed: int
) -> None:
    total = 9
    labels = torch.full((len(counts), 1, total), IGNORED)
    points = torch.zeros(len(counts), 1, total, 2)
    for row, count in enumerate(counts):
        places = torch.randperm(total, generator=torch.Generator().manual_seed(seed + row))[:count]
        labels[row, 0, places] = places % 2
        points[row, 0, places] = torch.stack([places.float(), torch.full((count,), row)], 1)
    generator = torch.Generator().manual_seed(seed)
    chosen, tags = choose_points(points, labels, keep, generator)
    assert chosen.shape[2] == max(1, round(max(counts) * keep))
    for row, count in enumerate(counts):
        assert (chosen[row, 0, :, 1] == row).all()
        assert (tags[row, 0] == chosen[row, 0, :, 0] % 2).all()
        assert len(chosen[row, 0, :, 0].unique()) == min(count, chosen.shape[2])


class Recorder(torch.nn.Module):
    """Stands in for a SAM model: records its prompts and predicts an empty mask."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict] = []
        self.encoded = 0

    def forward(self, **prompts):  # type: ignore[no-untyped-def]
        self.calls.append(prompts)
        output = type("Output", (), {})()
        output.pred_masks = torch.full((2, 1, 1, 16, 16), -3.0, requires_grad=True)
        output.iou_scores = torch.zeros(2, 1, 1)
        return output

    def get_image_embeddings(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        self.encoded += 1
        return [pixels]


def make_batch() -> dict[str, torch.Tensor]:
    target = torch.zeros(2, 32, 32)
    target[:, 8:16, 8:16] = 1
    return {
        "pixel_values": torch.zeros(2, 3, 64, 64),
        "target": target,
        "valid": torch.ones_like(target),
        "points": torch.full((2, 1, 3, 2), 20.0),
        "labels": torch.ones(2, 1, 3, dtype=torch.long),
        "box": torch.tensor([[[10.0, 10, 40, 40]]] * 2),
        "skeleton": torch.zeros(2, 1, 16, 16),
    }


def test_second_pass_clicks_into_the_error_and_reuses_the_embedding() -> None:
    model = Recorder()
    mix = SampledPrompts(box=True, points=False, skeleton=False, rounds=2, keep=1.0)
    loss, _ = forward_loss(model, make_batch(), mix, LossWeights(), seed=3)
    first, second = model.calls
    assert first["input_points"] is None
    assert first["input_masks"] is None
    assert second["image_embeddings"] is first["image_embeddings"]
    assert model.encoded == 1
    # The whole square is missed, so the click is on the hand and inside it (16..32 px).
    assert (second["input_labels"] == 1).all()
    assert ((second["input_points"] > 15) & (second["input_points"] < 33)).all()
    assert (second["input_masks"] == -3).all()
    loss.backward()


def test_each_round_adds_a_click_and_shows_the_last_mask() -> None:
    model, batch = Recorder(), make_batch()
    mix = SampledPrompts(box=True, points=True, rounds=4)
    loss, _ = forward_loss(model, batch, mix, LossWeights(), seed=3)
    assert len(model.calls) == 4
    assert model.encoded == 1
    for number, call in enumerate(model.calls):
        assert call["input_points"].shape == (2, 1, 3 + number, 2)
        assert call["input_labels"].shape == (2, 1, 3 + number)
        assert (call["input_masks"] is None) == (number == 0)
    one, _ = forward_loss(model, batch, SampledPrompts(box=True, points=True), LossWeights(), 3)
    # This model makes the same mask in every round, and the loss is the rounds' mean.
    assert loss.item() == pytest.approx(one.item())


def test_rounds_of_a_real_model_learn() -> None:
    model = tiny_model("edgetam")
    side = input_size("edgetam")
    target = torch.zeros(2, side // 2, side // 2)
    target[:, side // 8 : side // 4, side // 8 : side // 4] = 1
    batch = {
        **make_batch(),
        "pixel_values": torch.rand(2, 3, side, side),
        "target": target,
        "valid": torch.ones_like(target),
    }
    losses = []
    for rounds in (1, 3):
        mix = SampledPrompts(box=True, points=True, rounds=rounds)
        loss, logits = forward_loss(model, batch, mix, LossWeights(), seed=1)
        assert logits.shape == (2, side // 4, side // 4)
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        weight = next(model.mask_decoder.upscale_conv1.parameters())
        assert weight.grad is not None
        assert weight.grad.abs().sum() > 0
    assert losses[0] != losses[1]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), empty=st.booleans())
def test_clicks_land_in_the_largest_error(seed: int, empty: bool) -> None:
    rng = np.random.default_rng(seed)

    def blobs() -> np.ndarray:
        return cv2.GaussianBlur(rng.normal(size=(32, 32)).astype(np.float32), (0, 0), 2) > 0

    truth, valid = blobs(), blobs() | blobs()
    mask = truth if empty else blobs()
    target, known = (
        torch.from_numpy(np.kron(one, np.ones((2, 2), np.float32)))[None] for one in (truth, valid)
    )
    logits = torch.from_numpy(np.where(mask, 4.0, -4.0).astype(np.float32))[None]
    generator = torch.Generator().manual_seed(seed)
    click, label = correct(logits, target, known, generator)
    assert click.shape == (1, 1, 1, 2)
    # In px of the input, whose side is 128; logits have 32.
    x, y = ((click[0, 0, 0] + 0.5) / 4 - 0.5).round().long().tolist()
    assert label.item() == truth[y, x]
    sizes: dict[str, int] = {}
    for kind in (truth & ~mask & valid, mask & ~truth & valid):
        _, islands, stats, _ = cv2.connectedComponentsWithStats(kind.astype(np.uint8))
        if kind[y, x]:
            sizes["clicked"] = stats[islands[y, x], cv2.CC_STAT_AREA]
        sizes["largest"] = max([sizes.get("largest", 0), *stats[1:, cv2.CC_STAT_AREA]])
    if sizes["largest"]:
        assert sizes["clicked"] == sizes["largest"]
    again, _ = correct(logits, target, known, torch.Generator().manual_seed(seed))
    assert torch.equal(click, again)


@settings(max_examples=50)
@given(
    rounds=st.tuples(st.integers(2, 6), st.integers(2, 6)).map(sorted).map(tuple),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_the_number_of_rounds_is_drawn_from_its_range(
    rounds: tuple[int, int], share: float, seed: int
) -> None:
    chances = PromptSampling(second_pass=share, rounds=rounds)
    drawn = {
        SampledPrompts.draw(np.random.default_rng([seed, n]), chances, PromptRecipe()).rounds
        for n in range(60)
    }
    assert drawn <= {1, *range(rounds[0], rounds[1] + 1)}
    assert (drawn == {1}) if share == 0 else True
    assert (1 not in drawn) if share == 1 else True


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rounds": [1, 2]}, r"prompts\.rounds\.0 must be at least 2, got 1"),
        ({"rounds": [4, 2]}, r"rounds must be the fewest and the most, got \(4, 2\)"),
        ({"rounds": 3}, r"prompts\.rounds must be a list, got 3"),
        ({"second_pass": 1.1}, r"prompts\.second_pass must be at most 1, got 1\.1"),
        ({"box_only": 0.6, "points_only": 0.6}, "must sum to at most 1"),
        ({"round": [2, 2]}, "unknown keys round; .*did you mean rounds"),
    ],
)
def test_wrong_sampling_is_named(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_mapping(FinetuneConfig, {"data": {"source": "a"}, "prompts": values}, "run")


def test_mix_always_prompts_with_something_and_repeats_with_its_seed() -> None:
    recipe = PromptRecipe()
    for seed in range(200):
        mix = SampledPrompts.draw(np.random.default_rng(seed), PromptSampling(), recipe)
        assert mix.box or mix.points
        again = SampledPrompts.draw(np.random.default_rng(seed), PromptSampling(), recipe)
        assert mix == again


def test_any_gamma_has_a_gradient() -> None:
    logits = torch.full((1, 4, 4), 30.0, requires_grad=True)
    sure = torch.ones(1, 4, 4)
    mask_loss(logits, torch.ones(1), sure, sure, LossWeights(focal_gamma=0.5)).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
