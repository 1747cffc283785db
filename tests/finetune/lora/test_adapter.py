from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
import yaml
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from tiny_models import FAMILIES, fixed_logits, save_tiny_model
from typer.testing import CliRunner

from handseg import HandSegmenter
from handseg.cli import app
from handseg.errors import ModelError
from handseg.finetune.lora import adapter as adapter_module
from handseg.finetune.lora.adapter import model_card, push_to_hub, save_adapter
from handseg.finetune.lora.lora import LoraSettings, add_lora
from handseg.io.images import load_image
from handseg.models import load_mask_model
from handseg.prompts import PromptRecipe
from handseg.runtime.config import from_mapping

torch.set_num_threads(1)

RECIPE = PromptRecipe(box_reach=0.4)
WHOLE = ("upscaling", "hypernetworks", "iou_head")
FILES = ["README.md", "adapter_config.json", "adapter_model.safetensors", "prompt_recipe.json"]


def tuned(base: str | Path, settings: LoraSettings, strength: float = 0.3) -> tuple[Any, Any]:
    """Return a model with LoRA, as if trained: the mask model and peft's."""
    model = load_mask_model(base, device="cpu", backend="torch")
    torch.manual_seed(0)
    lora = add_lora(model.model, settings)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in lora.parameters():
            if weight.requires_grad:
                weight.add_(strength * torch.randn(weight.shape, generator=generator))
    lora.eval()
    return model, lora


def save(lora: Any, folder: Path, base: str | Path, recipe: PromptRecipe = RECIPE) -> None:
    save_adapter(lora, folder, base=str(base), recipe=recipe, card="# A card\n")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam")
    save_tiny_model("sam", folder)
    return folder


class TestRoundTrip:
    @pytest.mark.parametrize("placement", ["decoder", "all"])
    @pytest.mark.parametrize("family", FAMILIES)
    def test_gives_the_tuned_model(self, family: str, placement: str, tmp_path: Path) -> None:
        base, folder = tmp_path / "base", tmp_path / "adapter"
        save_tiny_model(family, base)
        untuned = fixed_logits(load_mask_model(base, device="cpu"))
        model, lora = tuned(base, LoraSettings(rank=2, placement=placement, modules_to_save=WHOLE))
        expected = fixed_logits(model)
        scale = abs(expected).max()
        assert abs(expected - untuned).max() > 0.01 * scale
        save(lora, folder, base)
        assert files_in(folder) == FILES
        for arguments in ((folder,), (base, folder)):
            segmenter = HandSegmenter.from_pretrained(*arguments, device="cpu")
            found = fixed_logits(segmenter.model)
            np.testing.assert_allclose(found, expected, atol=1e-4 * scale)
            assert segmenter.recipe == RECIPE

    def test_saving_changes_nothing(self, sam: Path, tmp_path: Path) -> None:
        model, lora = tuned(sam, LoraSettings())
        before = fixed_logits(model)
        save(lora, tmp_path, sam)
        np.testing.assert_array_equal(fixed_logits(model), before)
        assert any(weight.requires_grad for weight in lora.parameters())

    @pytest.mark.slow
    def test_of_the_bundled_model(
        self, photos: dict[str, np.ndarray], photo_folder: Path, tmp_path: Path
    ) -> None:
        model, lora = tuned("handseg-lite", LoraSettings(), strength=0.02)
        folder = tmp_path / "lora"
        save(lora, folder, "handseg-lite", PromptRecipe(box_reach=0.2))
        name = "2_pic00174"
        path = photo_folder / "images" / f"{name}.jpg"
        with (
            HandSegmenter(model, PromptRecipe(box_reach=0.2)) as unmerged,
            HandSegmenter.from_pretrained(folder, device="cpu") as loaded,
            HandSegmenter.from_pretrained(device="cpu") as base,
        ):
            expected = unmerged.segment(photos[name])
            (hand,) = loaded.segment(photos[name])
            assert abs(loaded.segment(photos[name]).alpha - expected.alpha).max() < 0.01
            untuned = base.segment(photos[name])
        assert hand.mask.any()
        assert (untuned.mask != expected.mask).any()
        # `load_mask_model` also accepts the bundled model's name.
        np.testing.assert_allclose(
            fixed_logits(load_mask_model(folder, device="cpu")), fixed_logits(model), atol=1e-3
        )

        done = CliRunner().invoke(
            app,
            [
                *("segment", str(path), "--adapter", str(folder), "--mask"),
                *("--output", str(tmp_path / "out"), "--device", "cpu"),
            ],
        )
        assert done.exit_code == 0, done.output
        mask = load_image(tmp_path / "out" / f"{name}_mask.png")[..., 0] > 127
        assert (mask != expected.mask).mean() < 1e-3
        assert (mask != untuned.mask).sum() > (mask != expected.mask).sum()


class TestFolder:
    def test_says_what_it_is(self, sam: Path, tmp_path: Path) -> None:
        _, lora = tuned(sam, LoraSettings(rank=3, alpha=5))
        save(lora, tmp_path, "facebook/sam-vit-base")
        config = json.loads((tmp_path / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == "facebook/sam-vit-base"
        assert (config["r"], config["lora_alpha"]) == (3, 5)
        assert config["auto_mapping"]["base_model_class"] == "SamModel"
        assert (tmp_path / "README.md").read_text() == "# A card\n"
        assert PromptRecipe.load(tmp_path) == RECIPE

    def test_same_training_gives_the_same_bytes(self, sam: Path, tmp_path: Path) -> None:
        contents = []
        for name in ("one", "other"):
            _, lora = tuned(sam, LoraSettings(modules_to_save=WHOLE))
            save(lora, tmp_path / name, sam)
            contents.append([(tmp_path / name / file).read_bytes() for file in FILES])
        assert contents[0] == contents[1]

    def test_other_files_stay(self, sam: Path, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").write_text("a run's")
        _, lora = tuned(sam, LoraSettings())
        save(lora, tmp_path, sam)
        assert files_in(tmp_path) == sorted([*FILES, "config.yaml"])

    def test_newer_weights_replace_older_ones(self, sam: Path, tmp_path: Path) -> None:
        _, lora = tuned(sam, LoraSettings())
        save(lora, tmp_path, sam)
        model, lora = tuned(sam, LoraSettings(), strength=0.6)
        save(lora, tmp_path, sam)
        loaded = load_mask_model(tmp_path, device="cpu")
        np.testing.assert_allclose(fixed_logits(loaded), fixed_logits(model), atol=1e-3)

    def test_full_disk_leaves_the_old_one(
        self, sam: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model, lora = tuned(sam, LoraSettings())
        save(lora, tmp_path, sam)

        def full(self: PromptRecipe, folder: Path) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        _, newer = tuned(sam, LoraSettings(rank=4), strength=0.6)
        with monkeypatch.context() as patch:
            patch.setattr(PromptRecipe, "save", full)
            with pytest.raises(OSError, match="No space"):
                save(newer, tmp_path, sam)
        assert files_in(tmp_path) == FILES
        loaded = load_mask_model(tmp_path, device="cpu")
        np.testing.assert_allclose(fixed_logits(loaded), fixed_logits(model), atol=1e-3)

    @pytest.mark.parametrize("moved", range(4))
    def test_stopped_between_two_moves(
        self, moved: int, sam: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Other settings: the folder holds all of the old, all of the new, or does not load."""
        _, lora = tuned(sam, LoraSettings(alpha=1))
        save(lora, tmp_path, sam)
        _, newer = tuned(sam, LoraSettings(alpha=64), strength=0.6)
        replace, done = Path.replace, []

        def stop(self: Path, target: Path) -> Path:
            if self.parent.parent == tmp_path and Path(target).parent == tmp_path:
                if len(done) == moved:
                    raise KeyboardInterrupt
                done.append(self.name)
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            save(newer, tmp_path, sam, PromptRecipe(box_reach=0.1))
        with pytest.raises(ModelError, match="adapter_config"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")

    def test_stopped_while_saving_the_next_weights(
        self, sam: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same settings, as in one run: there is an adapter that loads at every moment."""
        _, lora = tuned(sam, LoraSettings())
        save(lora, tmp_path, sam)
        model, newer = tuned(sam, LoraSettings(), strength=0.6)
        replace = Path.replace

        def stop(self: Path, target: Path) -> Path:
            if Path(target) == tmp_path / "README.md":
                raise KeyboardInterrupt
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            save(newer, tmp_path, sam)
        loaded = load_mask_model(tmp_path, device="cpu")
        np.testing.assert_allclose(fixed_logits(loaded), fixed_logits(model), atol=1e-3)


class TestCard:
    def card(self, base: str = "facebook/sam-vit-base", **changes: Any) -> str:
        values: dict[str, Any] = {
            "base": base,
            "recipe": RECIPE,
            "settings": LoraSettings(rank=4, modules_to_save=("iou_head",)),
            "data": "hands of ours",
            "photos": 1234,
            "command": "handseg finetune --data hands --output runs/ours",
            "metrics": {
                "val, zero-shot": {"IoU": 0.5, "photos": 30},
                "val, tuned": {"IoU": 0.97654, "boundary F": 0.9, "photos": 30},
            },
            "versions": {"handseg": "0.1.0", "torch": "2.9"},
        }
        return model_card(**values | changes)

    def front(self, card: str) -> dict[str, Any]:
        _, matter, _ = card.split("---\n", 2)
        return yaml.safe_load(matter)

    def test_metadata(self) -> None:
        front = self.front(self.card())
        assert front["library_name"] == "peft"
        assert front["base_model"] == "facebook/sam-vit-base"
        assert "hand-segmentation" in front["tags"]
        assert "license" not in front
        assert "set `license`" in self.card()
        # Read it with the hub's own reader.
        read = huggingface_hub.ModelCard(self.card())
        assert read.data.to_dict()["library_name"] == "peft"
        figures = {result.metric_name: result.metric_value for result in read.data.eval_results}
        assert figures == {"IoU (val, tuned)": 0.97654, "boundary F (val, tuned)": 0.9}

    def test_of_the_bundled_model(self) -> None:
        front = self.front(self.card("handseg-lite"))
        assert front["license"] == "cc-by-sa-4.0"
        assert front["base_model"] == "handseg-lite"
        assert "set `license`" not in self.card("handseg-lite")

    def test_hub_would_refuse_a_path(self, tmp_path: Path) -> None:
        (tmp_path / "base").mkdir()
        for base in (str(tmp_path / "base"), "runs/deep/base"):
            assert "base_model" not in self.front(self.card(base))

    def test_tells_how_it_was_made(self) -> None:
        card = self.card()
        for expected in (
            "hands of ours (1,234 photos)",
            "```\nhandseg finetune --data hands --output runs/ours\n```",
            'from_pretrained("facebook/sam-vit-base", adapter=',
            "rank: 4",
            "- iou_head",
            "box_reach: 0.4",
            "handseg 0.1.0, torch 2.9",
        ):
            assert expected in card

    def test_figures(self) -> None:
        assert (
            "|  | IoU | photos | boundary F |\n"
            "| --- | --- | --- | --- |\n"
            "| val, zero-shot | 0.5000 | 30 |  |\n"
            "| val, tuned | 0.9765 | 30 | 0.9000 |\n"
        ) in self.card()
        assert "Not measured." in self.card(metrics={})

    def test_settings_and_recipe_are_the_ones_that_load(self) -> None:
        blocks = [block.split("```")[0] for block in self.card().split("```yaml\n")[1:]]
        settings, recipe = (yaml.safe_load(block) for block in blocks)
        assert from_mapping(LoraSettings, settings, "card") == LoraSettings(
            rank=4, modules_to_save=("iou_head",)
        )
        assert PromptRecipe.from_dict(recipe) == RECIPE


class FakeHub:
    """Stands in for `huggingface_hub.HfApi`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.created: dict[str, Any] = {}
        self.uploaded: list[str] = []

    def create_repo(self, repo_id: str, **options: Any) -> str:
        if self.error is not None:
            raise self.error
        self.created = {"repo_id": repo_id, **options}
        return f"https://huggingface.co/{repo_id}"

    def upload_folder(
        self, *, repo_id: str, folder_path: Path, allow_patterns: list[str], **_: Any
    ) -> None:
        paths = [str(p.relative_to(folder_path)) for p in Path(folder_path).rglob("*")]
        self.uploaded = sorted(
            huggingface_hub.utils.filter_repo_objects(paths, allow_patterns=allow_patterns)
        )


class TestPush:
    @pytest.fixture
    def folder(self, sam: Path, tmp_path: Path) -> Path:
        _, lora = tuned(sam, LoraSettings())
        save(lora, tmp_path, sam)
        (tmp_path / "checkpoint").mkdir()
        (tmp_path / "checkpoint" / "optimizer.bin").write_bytes(b"private")
        (tmp_path / "config.yaml").write_text("a run's")
        return tmp_path

    def use(self, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, token: str | None = "t") -> None:
        monkeypatch.setattr(adapter_module.huggingface_hub, "HfApi", lambda: hub)
        monkeypatch.setattr(adapter_module.huggingface_hub, "get_token", lambda: token)

    def test_uploads_the_adapter_alone(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hub = FakeHub()
        self.use(hub, monkeypatch)
        assert push_to_hub(folder, "me/hands", private=True) == "https://huggingface.co/me/hands"
        assert hub.created == {"repo_id": "me/hands", "private": True, "exist_ok": True}
        assert hub.uploaded == FILES

    def test_without_a_token(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hub = FakeHub()
        self.use(hub, monkeypatch, token=None)
        with pytest.raises(ModelError, match=r"with a token only: .*HF_TOKEN"):
            push_to_hub(folder, "me/hands")
        assert hub.created == {}

    @pytest.mark.parametrize(
        "error",
        [
            OfflineModeIsEnabled("offline mode is enabled"),
            # The client's error without a network: an HTTPError, not an OSError.
            HfHubHTTPError.__mro__[1]("Name or service not known"),
            OSError("cut off"),
        ],
    )
    def test_unreachable(
        self, error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.use(FakeHub(error), monkeypatch)
        with pytest.raises(ModelError, match=rf"cannot upload .* to me/hands on http.*: {error}"):
            push_to_hub(folder, "me/hands")

    def test_no_repository_name(self, folder: Path) -> None:
        with pytest.raises(ModelError, match="repo_id must look like user/name, got 'a/b/c'"):
            push_to_hub(folder, "a/b/c")

    def test_no_adapter(self, sam: Path) -> None:
        with pytest.raises(ModelError, match="there is no adapter to upload"):
            push_to_hub(sam, "me/hands")
