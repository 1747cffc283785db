from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handseg.data.loaders.mix import read_mix
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.pretrain.samples import DataConfig
from handseg.finetune.pretrain.task import PretrainConfig
from handseg.prompts import PromptRecipe
from handseg.runtime.config import (
    assign,
    from_mapping,
    load_yaml,
    parse_assignments,
    read_yaml,
    save_yaml,
)

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Inner:
    size: int = 3


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    name: str = "a"

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name must not be empty")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def test_nested_values_and_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, "inner: {size: 5}\nname: b\n")
    assert load_yaml(Outer, path) == Outer(Inner(5), "b")
    values = assign(read_yaml(path), parse_assignments(["name=c", "inner.size=7"]))
    assert from_mapping(Outer, values, "test") == Outer(Inner(7), "c")
    assert read_yaml(path) == {"inner": {"size": 5}, "name": "b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nam: b", ["unknown keys nam", "known are inner, name"]),
        ("inner: {sise: 5}", ["inner", "unknown keys sise"]),
        ("inner: 5", ["inner", "mapping"]),
        ("name: ''", ["name must not be empty"]),
        ("a: [", ["not YAML"]),
    ],
)
def test_errors_name_the_file_and_the_key(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=r"run\.yaml") as error:
        load_yaml(Outer, path)
    for word in words:
        assert word in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yaml"):
        load_yaml(Outer, tmp_path / "none.yaml")


def test_saved_config_reads_back_equal(tmp_path: Path) -> None:
    config = PretrainConfig(
        DataConfig({"a": 1.0}, {}, ["b"], "objects", held_out=["x"]),
        recipe=PromptRecipe(skeleton=True, negatives=("gaps",)),
        steps=7,
    )
    save_yaml(config, tmp_path / "run.yaml")
    assert load_yaml(PretrainConfig, tmp_path / "run.yaml") == config


def test_what_a_nested_mapping_leaves_out_is_the_fields_default() -> None:
    config = from_mapping(FinetuneConfig, {"data": {"source": "a"}, "loss": {"iou": 0.2}}, "test")
    assert config.loss.boundary == FinetuneConfig(config.data).loss.boundary > 0
    assert config.loss.iou == 0.2


@pytest.mark.parametrize("path", sorted((ROOT / "finetune").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_configs_load(path: Path) -> None:
    if path.stem == "mix":
        assert len(read_mix(path)) > 1
        return
    kind = PretrainConfig if path.stem.startswith("lite") else FinetuneConfig
    assert load_yaml(kind, path).batch_size > 0


@pytest.mark.parametrize("path", sorted((ROOT / "prompts").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_recipes_load(path: Path) -> None:
    # What is held reaches further past the landmarks than the hand itself.
    margin = 0.4 if path.stem == "object" else PromptRecipe().region_margin
    assert PromptRecipe.load(path).region_margin == margin
