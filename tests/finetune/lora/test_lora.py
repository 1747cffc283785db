from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import FAMILIES, input_size, random_prompts, tiny_model

from handseg.errors import ModelError
from handseg.finetune.lora.lora import (
    MODULES_TO_SAVE,
    PLACEMENTS,
    LoraSettings,
    add_lora,
)
from handseg.models.adapters import use_tuned_mask
from handseg.runtime.config import from_mapping, load_yaml, save_yaml

torch.set_num_threads(1)

EVERYTHING = tuple(MODULES_TO_SAVE)


def perturb(model: torch.nn.Module) -> None:
    """Change every trainable weight, as training does: LoRA starts without any effect."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.2 * torch.randn(weight.shape, generator=generator))


def embeddings(model: Any, family: str) -> list[torch.Tensor]:
    """Return the features of a fixed image that the cache would hold."""
    side = input_size(family)
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    found = model.get_image_embeddings(pixels)
    if isinstance(found, torch.Tensor):
        return [found]
    flat = []
    for item in found:
        flat += [item] if isinstance(item, torch.Tensor) else list(item)
    return flat


def outputs(model: Any, family: str) -> tuple[torch.Tensor, torch.Tensor]:
    side = input_size(family)
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    prompts = random_prompts(2, side)
    output = model(
        pixel_values=pixels,
        input_points=torch.from_numpy(prompts.points)[:, None],
        input_labels=torch.from_numpy(prompts.labels)[:, None],
        input_boxes=torch.from_numpy(prompts.boxes)[:, None],
        multimask_output=False,
    )
    return output.pred_masks, output.iou_scores


def learning(model: torch.nn.Module) -> list[str]:
    """Return the names of trainable modules, without peft's wrapping."""
    names = []
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            name = name.removeprefix("base_model.model.").partition(".lora_")[0]
            names.append(name.partition(".modules_to_save.")[0])
    return list(dict.fromkeys(names))


class TestSettings:
    def test_defaults(self) -> None:
        settings = LoraSettings()
        assert settings.placement == "decoder"
        assert settings.encoder_is_frozen
        assert settings.modules_to_save == ()

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"rank": 0}, r"rank must be at least 1, got 0"),
            ({"rank": 2.5}, r"rank must be .*got 2\.5"),
            ({"rank": True}, "rank must be .*got True"),
            ({"alpha": 0}, "alpha must be above 0, got 0"),
            ({"alpha": "8"}, "alpha must be .*got '8'"),
            ({"dropout": 1.0}, r"dropout must be below 1, got 1\.0"),
            ({"placement": "encoder"}, "placement must be one of decoder, .*, got 'encoder'"),
            (
                {"modules_to_save": ["head"]},
                r"modules_to_save\.0 must be one of upscaling, .*got 'head'",
            ),
            (
                {"modules_to_save": "upscaling"},
                "modules_to_save must be a list, got 'upscaling'",
            ),
            ({"targets": "q_proj"}, "targets must be a list, got 'q_proj'"),
            ({"targets": []}, "targets must be a list of at least 1"),
            ({"targets": ["q_proj("]}, r"targets: 'q_proj\(' is not a regular expression"),
        ],
    )
    def test_bad_values(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            from_mapping(LoraSettings, values, "lora")

    @given(
        rank=st.integers(1, 64),
        alpha=st.none() | st.floats(0.5, 64),
        placement=st.sampled_from(PLACEMENTS),
        targets=st.none() | st.just(("q_proj", r"mlp\..+")),
        modules_to_save=st.lists(st.sampled_from(EVERYTHING), unique=True).map(tuple),
    )
    def test_yaml_gives_them_back(
        self, tmp_path_factory: pytest.TempPathFactory, **values: Any
    ) -> None:
        path = tmp_path_factory.mktemp("yaml") / "lora.yaml"
        save_yaml(LoraSettings(**values), path)
        assert load_yaml(LoraSettings, path) == LoraSettings(**values)


@pytest.mark.parametrize("family", FAMILIES)
class TestEveryFamily:
    def test_starts_as_the_base(self, family: str) -> None:
        settings = LoraSettings(placement="all", modules_to_save=EVERYTHING)
        base = tiny_model(family)
        use_tuned_mask(base)
        with torch.no_grad():
            expected = outputs(base, family)
            found = outputs(add_lora(tiny_model(family), settings), family)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=0)

    def test_attention_and_mlps_by_default(self, family: str) -> None:
        names = learning(add_lora(tiny_model(family), LoraSettings()))
        # Two layers of three attentions and an MLP, and a last attention.
        assert len(names) == (2 * 3 + 1) * 4 + 2 * 2
        assert all(name.startswith("mask_decoder.transformer.") for name in names)

    @pytest.mark.parametrize("placement", PLACEMENTS)
    def test_gradients_reach_all_that_learns(self, family: str, placement: str) -> None:
        settings = LoraSettings(rank=2, placement=placement, modules_to_save=EVERYTHING)
        # Outside training, SAM 2 and 3 may take the mask of another token.
        model = add_lora(tiny_model(family), settings).train()
        perturb(model)
        masks, scores = outputs(model, family)
        (masks.square().sum() + scores.sum()).backward()
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                assert weight.grad is not None, name
                assert weight.grad.any(), name
            else:
                assert weight.grad is None, name

    @pytest.mark.parametrize("placement", PLACEMENTS)
    def test_says_rightly_whether_features_can_be_cached(self, family: str, placement: str) -> None:
        settings = LoraSettings(rank=2, placement=placement, modules_to_save=EVERYTHING)
        model = add_lora(tiny_model(family), settings)
        before = embeddings(model, family)
        logits, _ = outputs(model, family)
        perturb(model)
        assert not torch.equal(outputs(model, family)[0], logits)
        same = [
            torch.equal(one, other)
            for one, other in zip(before, embeddings(model, family), strict=True)
        ]
        assert all(same) == settings.encoder_is_frozen

    def test_placements_take_in_ever_more(self, family: str) -> None:
        decoder, neck, everything = (
            set(learning(add_lora(tiny_model(family), LoraSettings(placement=placement))))
            for placement in PLACEMENTS
        )
        assert decoder < neck < everything
        assert any(name.startswith("vision_encoder.neck.") for name in neck)
        skips = {f"mask_decoder.conv_s{level}" for level in (0, 1)}
        assert neck & skips == (set() if family in ("sam", "sam_hq") else skips)
        assert not any("conv_dw" in name for name in everything)

    def test_whole_parts_are_all_of_the_decoder_that_is_read(self, family: str) -> None:
        model = add_lora(tiny_model(family), LoraSettings(modules_to_save=EVERYTHING))
        heads = {name.split(".")[1] for name in learning(model)} - {"transformer"}
        frozen = {"iou_token", "mask_tokens", "hq_token", "obj_score_token"}
        frozen |= {"conv_s0", "conv_s1", "pred_obj_score_head"}
        parts = {name for name, _ in model.get_base_model().mask_decoder.named_children()}
        assert heads == {name for name in parts - frozen - {"transformer", "activation"}}


class TestTargets:
    def test_last_part_of_a_name(self) -> None:
        names = learning(add_lora(tiny_model("sam"), LoraSettings(targets=("q_proj", "v_proj"))))
        assert len(names) == 14
        assert {name.rpartition(".")[2] for name in names} == {"q_proj", "v_proj"}

    def test_stay_in_their_placement(self) -> None:
        # SAM 3's encoder has q_proj as well.
        names = learning(add_lora(tiny_model("sam3_tracker"), LoraSettings(targets=("q_proj",))))
        assert len(names) == 7
        both = LoraSettings(targets=("q_proj",), placement="all")
        assert len(learning(add_lora(tiny_model("sam3_tracker"), both))) == 9

    def test_expression(self) -> None:
        targets = (r"mask_decoder\.transformer\.layers\.1\.mlp\..+",)
        names = learning(add_lora(tiny_model("edgetam"), LoraSettings(targets=targets)))
        layer = "mask_decoder.transformer.layers.1.mlp"
        assert names == [f"{layer}.proj_in", f"{layer}.proj_out"]

    def test_that_match_nothing(self) -> None:
        with pytest.raises(ModelError) as raised:
            add_lora(tiny_model("sam"), LoraSettings(targets=("q_proj", "o_proj")))
        message = str(raised.value)
        assert "'o_proj' matches no linear layer" in message
        assert "SamModel" in message
        assert "mask_decoder.transformer.layers.0.self_attn.out_proj" in message

    def test_that_match_only_what_takes_no_lora(self) -> None:
        for pattern in ("upscale_conv1", "layer_norm_final_attn"):
            with pytest.raises(ModelError, match=f"'{pattern}' matches no linear layer"):
                add_lora(tiny_model("sam"), LoraSettings(targets=(pattern,)))

    def test_outside_of_the_placement(self) -> None:
        with pytest.raises(ModelError, match=r"'qkv' matches vision_encoder\.layers\.0\.attn\.qkv"):
            add_lora(tiny_model("sam"), LoraSettings(targets=("qkv",)))
        with pytest.raises(ModelError, match="placement 'decoder' leaves as it is"):
            add_lora(tiny_model("sam2"), LoraSettings(targets=("conv_s0",)))

    def test_in_a_part_that_is_trained_whole(self) -> None:
        settings = LoraSettings(
            targets=(r"iou_prediction_head\..+",), modules_to_save=("iou_head",)
        )
        with pytest.raises(ModelError, match=r"iou_prediction_head\.proj_in is in a part that is"):
            add_lora(tiny_model("sam"), settings)


class TestAddLora:
    def test_seed_decides_the_start(self) -> None:
        starts = []
        for seed in (3, 3, 4):
            model = tiny_model("sam")
            torch.manual_seed(seed)
            lora = add_lora(model, LoraSettings())
            starts.append({n: w for n, w in lora.named_parameters() if w.requires_grad})
        first, second, third = starts
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert not all(torch.equal(first[name], third[name]) for name in first)

    @pytest.mark.parametrize(
        ("rank", "alpha", "scale"), [(4, None, 2), (32, None, 2), (4, 1, 0.25)]
    )
    def test_alpha(self, rank: int, alpha: float | None, scale: float) -> None:
        model = add_lora(tiny_model("sam"), LoraSettings(rank=rank, alpha=alpha))
        layer = model.get_base_model().mask_decoder.transformer.final_attn_token_to_image.q_proj
        assert layer.scaling["default"] == scale
        assert layer.lora_A["default"].weight.shape[0] == rank

    def test_configuration_is_the_same_each_time(self, tmp_path: Path) -> None:
        # peft writes lists of names in set order, which differs between processes.
        model = add_lora(tiny_model("sam"), LoraSettings(modules_to_save=EVERYTHING))
        model.save_pretrained(tmp_path)
        config = json.loads((tmp_path / "adapter_config.json").read_text())
        assert isinstance(config["target_modules"], str)
        assert config["modules_to_save"] == [
            "mask_decoder.upscale_conv1",
            "mask_decoder.upscale_conv2",
            "mask_decoder.upscale_layer_norm",
            "mask_decoder.output_hypernetworks_mlps.0",
            "mask_decoder.iou_prediction_head",
        ]
