from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import (
    padded,
    random_crops,
    random_prompts,
    save_tiny_model,
    tiny_model,
)

from handseg.errors import ModelError
from handseg.models import load_mask_model
from handseg.models.export.original import segment_anything_tensors
from handseg.models.sam.original import SegmentAnythingMaskModel, build_sam

torch.set_num_threads(1)


class TestOriginalCheckpoint:
    def test_equals_transformers(self, tmp_path: Path) -> None:
        path = tmp_path / "any_name.pth"
        torch.save(segment_anything_tensors(save_tiny_model("sam", tmp_path)), path)
        one, other = (load_mask_model(p, device="cpu") for p in (tmp_path, path))
        assert isinstance(other, SegmentAnythingMaskModel)
        crops = random_crops(3, 64)
        for prompts in (
            random_prompts(3, 64),
            random_prompts(3, 64, boxes=False),
            random_prompts(3, 64, points=0),
            padded(random_prompts(3, 64), 2),
        ):
            pairs = zip(*(m.decode(m.encode(crops), prompts) for m in (one, other)), strict=True)
            for a, b in pairs:
                np.testing.assert_allclose(a, b, atol=1e-5)

    @pytest.mark.parametrize("size", ["vit_b", "vit_l", "vit_h"])
    def test_finds_the_published_sizes(self, size: str) -> None:
        from segment_anything import sam_model_registry

        with torch.device("meta"):
            published = sam_model_registry[size]()
        rebuilt = build_sam(published.state_dict(), Path("sam.pth"))
        assert repr(rebuilt) == repr(published)
        for ours, theirs in zip(
            rebuilt.image_encoder.blocks, published.image_encoder.blocks, strict=True
        ):
            assert ours.window_size == theirs.window_size
            assert ours.attn.num_heads == theirs.attn.num_heads
        assert rebuilt.image_encoder.img_size == 1024
        assert rebuilt.prompt_encoder.image_embedding_size == (64, 64)

    def test_adapter_is_refused(self, tmp_path: Path) -> None:
        torch.save(segment_anything_tensors(tiny_model("sam")), tmp_path / "sam.pth")
        with pytest.raises(ModelError, match=r"adapter: cannot be used on .*sam\.pth"):
            load_mask_model(tmp_path / "sam.pth", adapter=tmp_path)

    def test_cannot_be_saved(self, tmp_path: Path) -> None:
        torch.save(segment_anything_tensors(tiny_model("sam")), tmp_path / "sam.pth")
        model = SegmentAnythingMaskModel.from_checkpoint(tmp_path / "sam.pth", device="cpu")
        with pytest.raises(ModelError, match="cannot save"):
            model.save_pretrained(tmp_path / "folder")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"weight": torch.zeros(2)}, "not a segment-anything .* no tensor 'image_encoder"),
            ([torch.zeros(2)], "expected a dict of tensors, got a list"),
            ({"x": os.system}, "holds more than plain tensors"),
        ],
    )
    def test_other_checkpoints(self, content: Any, message: str, tmp_path: Path) -> None:
        torch.save(content, tmp_path / "other.pth")
        with pytest.raises(ModelError, match=rf"other\.pth: .*{message}"):
            load_mask_model(tmp_path / "other.pth")

    def test_related_model(self, tmp_path: Path) -> None:
        tensors = segment_anything_tensors(tiny_model("sam"))
        torch.save(tensors | {"mask_decoder.hf_token.weight": torch.zeros(1)}, tmp_path / "hq.pth")
        with pytest.raises(ModelError, match=r"hq\.pth: a relative of .* such as .*hf_token"):
            load_mask_model(tmp_path / "hq.pth")

    def test_inconsistent_shapes(self, tmp_path: Path) -> None:
        tensors = segment_anything_tensors(tiny_model("sam"))
        tensors["prompt_encoder.no_mask_embed.weight"] = torch.zeros(1, 2)
        torch.save(tensors, tmp_path / "cut.pth")
        with pytest.raises(ModelError, match=r"cut\.pth: its tensors' shapes do not fit"):
            load_mask_model(tmp_path / "cut.pth")

    def test_not_a_checkpoint(self, tmp_path: Path) -> None:
        (tmp_path / "text.pth").write_text("not weights")
        with pytest.raises(ModelError, match=r"text\.pth: not a PyTorch checkpoint"):
            load_mask_model(tmp_path / "text.pth")
        with pytest.raises(ModelError, match=r"gone\.pth: no such file"):
            load_mask_model(tmp_path / "gone.pth")
