from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from segment_anything import sam_model_registry
from tiny_models import FAMILIES, fixed_logits, save_tiny_model, tiny_model
from typer.testing import CliRunner, Result

from handseg.cli import app
from handseg.finetune.lora.adapter import save_adapter
from handseg.finetune.lora.lora import LoraSettings, add_lora
from handseg.models import load_mask_model
from handseg.models.export.original import segment_anything_tensors
from handseg.models.sam.onnx import OnnxMaskModel
from handseg.models.sam.original import SegmentAnythingMaskModel
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.prompts import PromptRecipe
from handseg.segmenter import HandSegmenter

torch.set_num_threads(1)

RECIPE = PromptRecipe(box_reach=0.4)
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `handseg export` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["export", *map(str, arguments)])


def save_tuned(
    base: Path, folder: Path, placement: str = "decoder", strength: float = 0.05
) -> TransformersMaskModel:
    """Save an adapter of `base` as if trained; return the model with the adapter."""
    model = TransformersMaskModel.from_pretrained(base, device="cpu")
    whole = ("upscaling", "hypernetworks", "iou_head")
    lora = add_lora(model.model, LoraSettings(placement=placement, modules_to_save=whole))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in lora.parameters():
            if weight.requires_grad:
                weight.add_(strength * torch.randn(weight.shape, generator=generator))
    save_adapter(lora, folder, base=str(base), recipe=RECIPE, card="# A card\n")
    lora.eval()
    return model


def assert_same(found: Any, expected: Any, tolerance: float = 1e-4) -> None:
    one, other = fixed_logits(found), fixed_logits(expected)
    np.testing.assert_allclose(one, other, atol=tolerance * abs(other).max())


class TestTransformersFolder:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_holds_the_merged_model(self, family: str, run: Run) -> None:
        untuned = TransformersMaskModel(save_tiny_model(family, Path("base")))
        expected = save_tuned(Path("base"), Path("lora"), "all")
        done = run("--model", "base", "--adapter", "lora", "--merge", "--output", "new/merged")
        assert done.exit_code == 0, done.output
        assert sorted(path.name for path in Path("new").rglob("*")) == [
            "config.json",
            "merged",
            "model.safetensors",
            "preprocessor_config.json",
            "prompt_recipe.json",
        ]
        segmenter = HandSegmenter.from_pretrained("new/merged", device="cpu")
        assert segmenter.recipe == RECIPE
        assert_same(segmenter.model, expected)
        with pytest.raises(AssertionError):
            assert_same(segmenter.model, untuned)
        # To transformers, it is an ordinary model without any LoRA.
        names = load_file("new/merged/model.safetensors").keys()
        assert not [name for name in names if "lora" in name or "base_layer" in name]
        plain = transformers.AutoModelForMaskGeneration.from_pretrained("new/merged")
        assert_same(TransformersMaskModel(plain), expected)

    def test_of_an_adapter_that_names_its_base(self, run: Run) -> None:
        save_tiny_model("sam", Path("base"))
        expected = save_tuned(Path("base"), Path("lora"))
        assert run("--model", "lora", "--merge", "--output", "merged").exit_code == 0
        assert_same(load_mask_model("merged", device="cpu"), expected)

    def test_of_a_model_without_an_adapter(self, run: Run) -> None:
        done = run("--output", "lite")
        assert done.exit_code == 0, done.output
        weights = load_file("lite/model.safetensors")
        assert {str(weight.dtype) for name, weight in weights.items() if "conv" in name} == {
            "torch.float32"
        }
        bundled = HandSegmenter.from_pretrained(device="cpu", backend="torch")
        exported = HandSegmenter.from_pretrained("lite", device="cpu")
        assert exported.recipe == bundled.recipe
        np.testing.assert_array_equal(fixed_logits(exported.model), fixed_logits(bundled.model))


class TestOnnx:
    def test_holds_the_merged_model_and_is_picked_up(self, run: Run) -> None:
        untuned = TransformersMaskModel(save_tiny_model("sam", Path("base")))
        expected = save_tuned(Path("base"), Path("lora"), "all")
        options = ("--merge", "--format", "onnx", "--output", "graphs")
        done = run("--model", "base", "--adapter", "lora", *options)
        assert done.exit_code == 0, done.output
        assert sorted(path.name for path in Path("graphs").iterdir()) == [
            "decoder.onnx",
            "encoder.onnx",
            "prompt_recipe.json",
        ]
        segmenter = HandSegmenter.from_pretrained("graphs")
        assert isinstance(segmenter.model, OnnxMaskModel)
        assert segmenter.recipe == RECIPE
        assert_same(segmenter.model, expected)
        with pytest.raises(AssertionError):
            assert_same(segmenter.model, untuned)

    def test_of_an_original_checkpoint_is_refused(self, run: Run) -> None:
        save_tiny_model("sam", Path("base"))
        run("--model", "base", "--format", "segment-anything", "--output", "sam.pth")
        done = run("--model", "sam.pth", "--format", "onnx", "--output", "graphs")
        assert done.exit_code == 2
        assert "only models of transformers can be written as ONNX" in done.output
        assert not Path("graphs").exists()


class TestSegmentAnything:
    def test_equals_the_merged_model(self, run: Run) -> None:
        untuned = TransformersMaskModel(save_tiny_model("sam", Path("base")))
        expected = save_tuned(Path("base"), Path("lora"), "all")
        done = run("--model", "lora", "--merge", "--format", "segment-anything", "-o", "a/sam.pth")
        assert done.exit_code == 0, done.output
        assert [path.name for path in Path("a").iterdir()] == ["sam.pth"]
        original = load_mask_model("a/sam.pth", device="cpu")
        assert isinstance(original, SegmentAnythingMaskModel)
        assert_same(original, expected)
        with pytest.raises(AssertionError):
            assert_same(original, untuned)

    @pytest.mark.parametrize(
        ("size", "vision"),
        [
            ("vit_b", {}),
            (
                "vit_l",
                {
                    "hidden_size": 1024,
                    "num_hidden_layers": 24,
                    "num_attention_heads": 16,
                    "global_attn_indexes": [5, 11, 17, 23],
                },
            ),
            (
                "vit_h",
                {
                    "hidden_size": 1280,
                    "num_hidden_layers": 32,
                    "num_attention_heads": 16,
                    "global_attn_indexes": [7, 15, 23, 31],
                },
            ),
        ],
    )
    def test_names_and_shapes_of_the_published_sizes(
        self, size: str, vision: dict[str, Any]
    ) -> None:
        with torch.device("meta"):
            config = transformers.SamConfig(vision_config=transformers.SamVisionConfig(**vision))
            model = transformers.SamModel(config)
            published = sam_model_registry[size]().state_dict()
        shapes = {name: tensor.shape for name, tensor in segment_anything_tensors(model).items()}
        assert shapes == {name: tensor.shape for name, tensor in published.items()}

    @pytest.mark.slow
    def test_the_original_package_loads_it(self, run: Run) -> None:
        torch.manual_seed(0)
        transformers.SamModel(transformers.SamConfig()).save_pretrained("base")
        tuned = save_tuned(Path("base"), Path("lora"), strength=0.02).model
        done = run("--model", "lora", "--merge", "--format", "segment-anything", "-o", "sam.pth")
        assert done.exit_code == 0, done.output
        sam = sam_model_registry["vit_b"](checkpoint="sam.pth").eval()
        image = torch.randn(1, 256, 64, 64)
        points, labels = torch.tensor([[[300.0, 400.0], [30.0, 900.0]]]), torch.tensor([[1, 0]])
        box = torch.tensor([[100.0, 200.0, 700.0, 900.0]])
        with torch.inference_mode():
            sparse, dense = sam.prompt_encoder((points, labels), box, None)
            masks, scores = sam.mask_decoder(
                image, sam.prompt_encoder.get_dense_pe(), sparse, dense, False
            )
            output = tuned(
                image_embeddings=image,
                input_points=points[None],
                input_labels=labels[None],
                input_boxes=box[None],
                multimask_output=False,
            )
        torch.testing.assert_close(output.pred_masks[0], masks, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(output.iou_scores[0], scores, atol=1e-4, rtol=1e-4)
        untouched = sam.image_encoder.blocks[0].attn.qkv.weight
        assert torch.equal(untouched, tuned.vision_encoder.layers[0].attn.qkv.weight)

    @pytest.mark.parametrize("family", ["sam_hq", "edgetam"])
    def test_other_families(self, family: str, run: Run) -> None:
        save_tiny_model(family, Path("base"))
        done = run("--model", "base", "--format", "segment-anything", "--output", "x.pth")
        assert done.exit_code == 2
        assert f"model_type is '{family}': segment-anything loads SAM 1 models alone" in done.stderr
        assert not Path("x.pth").exists()

    def test_of_an_original_checkpoint(self, run: Run) -> None:
        torch.save(segment_anything_tensors(tiny_model("sam")), "sam.pth")
        done = run("--model", "sam.pth", "--format", "segment-anything", "--output", "x.pth")
        assert done.exit_code == 2
        assert "an original checkpoint already" in done.stderr
        done = run("--model", "sam.pth", "--output", "x")
        assert done.exit_code == 2
        assert "cannot save an original segment-anything checkpoint" in done.stderr
        assert sorted(path.name for path in Path().iterdir()) == ["sam.pth"]


class TestRefusals:
    @pytest.mark.parametrize("arguments", [["--model", "lora"], ["--adapter", "lora"]])
    def test_adapter_without_merge(self, arguments: list[str], run: Run) -> None:
        Path("lora").mkdir()
        Path("lora/adapter_config.json").write_text(json.dumps({}))
        done = run(*arguments, "--output", "out")
        assert done.exit_code == 2
        assert (
            done.stderr
            == "Error: an adapter can only be exported merged into its model: add --merge\n"
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--output", "there"], "--output there: already exists"),
            (
                ["--format", "segment-anything", "--output", "folder"],
                "--output must be a .pth file for segment-anything, got folder",
            ),
            (["--model", "no such", "--output", "out"], "no such: no such folder or file"),
        ],
    )
    def test_what_cannot_run(self, arguments: list[str], message: str, run: Run) -> None:
        Path("there").mkdir()
        done = run(*arguments)
        assert done.exit_code == 2
        assert done.stderr.startswith(f"Error: {message}")
        assert [path.name for path in Path().iterdir()] == ["there"]

    @pytest.mark.parametrize(
        "arguments", [["-o", "out"], ["--format", "segment-anything", "-o", "out.pth"]]
    )
    def test_full_disk(
        self, arguments: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        save_tiny_model("sam", Path("base"))
        monkeypatch.setattr(PromptRecipe, "save", full)
        monkeypatch.setattr(torch, "save", full)
        done = run("--model", "base", *arguments)
        assert done.exit_code == 1
        assert "Failed: out" in done.stderr
        assert "No space left on device" in done.stderr
        assert [path.name for path in Path().iterdir()] == ["base"]
