"""Adapters that automatically run as ONNX graphs: exported once, cached, never stale."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import fixed_logits, save_tiny_model

from handseg.errors import MissingExtraError, ModelError
from handseg.finetune.lora.adapter import save_adapter
from handseg.finetune.lora.lora import LoraSettings, add_lora
from handseg.models import load_mask_model
from handseg.models.adapter_graphs import GRAPHS
from handseg.models.export.onnx import TOLERANCE, export_onnx
from handseg.models.sam.onnx import OnnxMaskModel
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.prompts import PromptRecipe
from handseg.segmenter import HandSegmenter

torch.set_num_threads(1)


@pytest.fixture
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the user's cache."""
    folder = tmp_path / "user"
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with weights and graphs, like the bundled one."""
    folder = tmp_path_factory.mktemp("base")
    export_onnx(TransformersMaskModel(save_tiny_model("sam", folder)), folder)
    return folder


@pytest.fixture(scope="module")
def exported(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """An adapter that was loaded once, and the messages about it."""
    folder = tmp_path_factory.mktemp("exported")
    train(base, folder, seed=1)
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("handseg").addHandler(handler)
    load_mask_model(folder, device="cpu")
    logging.getLogger("handseg").removeHandler(handler)
    return folder, said


@pytest.fixture
def with_graphs(exported: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy of that adapter with the graphs in its folder."""
    return shutil.copytree(exported[0], tmp_path / "lora")


@pytest.fixture
def adapter(with_graphs: Path) -> Path:
    """A copy of that adapter as before loading."""
    shutil.rmtree(with_graphs / GRAPHS)
    return with_graphs


def train(base: Path, folder: Path, seed: int) -> None:
    """Write an adapter as trained with this seed."""
    model = TransformersMaskModel.from_pretrained(base, device="cpu")
    lora = add_lora(model.model, LoraSettings(rank=2))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in lora.parameters():
            if weight.requires_grad:
                weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    save_adapter(lora, folder, base=str(base), recipe=PromptRecipe(), card="# A card\n")


def kept(adapter: Path) -> list[Path]:
    return [one for one in (adapter / GRAPHS).iterdir() if one.is_dir()]


def assert_as_in_torch(found: object, adapter: Path) -> None:
    assert isinstance(found, OnnxMaskModel)
    expected = load_mask_model(adapter, device="cpu", backend="torch")
    assert isinstance(expected, TransformersMaskModel)
    np.testing.assert_allclose(fixed_logits(found), fixed_logits(expected), atol=TOLERANCE)


def test_is_exported_once_with_a_line_in_the_log(
    exported: tuple[Path, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    folder, said = exported
    assert said == [
        f"Exporting the adapter {folder} to ONNX, once: it runs faster on the CPU from now on"
    ]
    (place,) = kept(folder)
    assert_as_in_torch(load_mask_model(folder, device="cpu"), folder)
    assert kept(folder) == [place]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_retrained_adapter_is_exported_anew(base: Path, with_graphs: Path) -> None:
    old = load_mask_model(with_graphs, device="cpu")
    before, (place,) = fixed_logits(old), kept(with_graphs)
    train(base, with_graphs, seed=2)
    new = load_mask_model(with_graphs, device="cpu")
    assert_as_in_torch(new, with_graphs)
    assert np.abs(fixed_logits(new) - before).max() > 1e-2
    # Loaded segmenters and their copies keep working without the files.
    assert not place.exists()
    np.testing.assert_array_equal(fixed_logits(pickle.loads(pickle.dumps(old))), before)


def test_graphs_of_another_base_are_not_taken(
    base: Path, with_graphs: Path, tmp_path: Path
) -> None:
    before = fixed_logits(load_mask_model(base, with_graphs, device="cpu"))
    other = shutil.copytree(base, tmp_path / "other")
    save_tiny_model("sam", other, seed=5)
    found = load_mask_model(other, with_graphs, device="cpu")
    expected = load_mask_model(other, with_graphs, device="cpu", backend="torch")
    np.testing.assert_allclose(fixed_logits(found), fixed_logits(expected), atol=TOLERANCE)
    assert np.abs(fixed_logits(found) - before).max() > 1e-2


def test_a_new_recipe_or_card_needs_no_new_graphs(with_graphs: Path) -> None:
    (place,) = kept(with_graphs)
    PromptRecipe(forearm=2.0).save(with_graphs)
    (with_graphs / "README.md").write_text("# Another card\n")
    assert isinstance(load_mask_model(with_graphs, device="cpu"), OnnxMaskModel)
    assert kept(with_graphs) == [place]


@pytest.mark.parametrize("options", [{"backend": "torch"}, {"dtype": "bfloat16"}])
def test_torch_if_it_is_asked_for(options: dict[str, str], adapter: Path) -> None:
    found = load_mask_model(adapter, device="cpu", **options)  # type: ignore[arg-type]
    assert isinstance(found, TransformersMaskModel)
    assert not (adapter / GRAPHS).exists()


def test_is_kept_in_the_users_cache_where_the_folder_cannot_be_written(
    adapter: Path, user_cache: Path
) -> None:
    (adapter / GRAPHS).write_text("A file, in whose place no folder can be made, root or not.")
    assert_as_in_torch(load_mask_model(adapter, device="cpu"), adapter)
    (place,) = (one for one in (user_cache / "adapters").iterdir() if one.is_dir())
    written = (place / "decoder.onnx").stat().st_mtime_ns
    assert isinstance(load_mask_model(adapter, device="cpu"), OnnxMaskModel)
    assert (place / "decoder.onnx").stat().st_mtime_ns == written


def test_torch_where_no_folder_can_be_written(
    adapter: Path, user_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (adapter / GRAPHS).write_text("a file")
    user_cache.mkdir(parents=True)
    (user_cache / "adapters").write_text("a file")
    found = load_mask_model(adapter, device="cpu")
    assert isinstance(found, TransformersMaskModel)
    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    assert "its ONNX graphs cannot be written" in record.getMessage()
    assert record.getMessage().endswith("it runs in torch")
    with pytest.raises(ModelError, match="its ONNX graphs cannot be written"):
        load_mask_model(adapter, device="cpu", backend="onnx")


def test_saves_weights_for_torch_too(with_graphs: Path, tmp_path: Path) -> None:
    found = load_mask_model(with_graphs, device="cpu")
    found.save_pretrained(tmp_path / "merged")
    for backend in ("onnx", "torch"):
        again = load_mask_model(tmp_path / "merged", device="cpu", backend=backend)  # type: ignore[arg-type]
        np.testing.assert_allclose(fixed_logits(again), fixed_logits(found), atol=TOLERANCE)


def test_a_folder_that_is_no_adapter_is_left_alone(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    with pytest.raises(ModelError, match=r"no adapter_config\.json"):
        load_mask_model(base, folder, device="cpu")
    assert list(folder.iterdir()) == []


def test_an_adapter_that_does_not_fit_leaves_nothing(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(base, tmp_path / "other")
    save_tiny_model("sam2", other)
    with pytest.raises(ModelError, match="trained on SamModel"):
        load_mask_model(other, adapter, device="cpu")
    assert kept(adapter) == []


LOAD = """
import sys
from handseg.models import load_mask_model
for name in sys.argv[2:]:
    sys.modules[name] = None
print(type(load_mask_model(sys.argv[1], device="cpu")).__name__)
print(sorted({"torch", "transformers", "peft", "onnx"} & set(sys.modules)))
"""


def load_elsewhere(adapter: Path, *missing: str) -> subprocess.Popen[str]:
    """Load the adapter in another process without the packages `missing`."""
    return subprocess.Popen(
        [sys.executable, "-c", LOAD, str(adapter), *missing],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip


def test_needs_no_torch_once_it_is_exported(with_graphs: Path) -> None:
    process = load_elsewhere(with_graphs)
    out, errors = process.communicate(timeout=300)
    assert out.split("\n")[:2] == ["OnnxMaskModel", "[]"], errors


def test_without_torch_and_graphs_says_what_is_missing(
    adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("transformers", "original"):
        monkeypatch.delitem(sys.modules, f"handseg.models.sam.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"needs PyTorch: pip install 'handseg\[sam\]'"):
        HandSegmenter.from_pretrained(adapter, device="cpu")
    assert not (adapter / GRAPHS).exists()


def test_torch_where_the_exporter_is_missing(
    adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert isinstance(load_mask_model(adapter, device="cpu"), TransformersMaskModel)
    with pytest.raises(MissingExtraError, match=r"pip install 'handseg\[export\]'"):
        load_mask_model(adapter, device="cpu", backend="onnx")


def test_processes_export_it_once(adapter: Path) -> None:
    processes = [load_elsewhere(adapter) for _ in range(2)]
    ended = [process.communicate(timeout=300) for process in processes]
    assert [out.split("\n")[0] for out, _ in ended] == ["OnnxMaskModel"] * 2, ended
    assert sum(errors.count("Exporting the adapter") for _, errors in ended) == 1
    assert len(kept(adapter)) == 1
    assert_as_in_torch(load_mask_model(adapter, device="cpu"), adapter)
