from dataclasses import field
from pathlib import Path

import pytest
from pydantic.dataclasses import dataclass

from handseg.data.loaders.mix import read_mix
from handseg.finetune.baselines.settings import BaselineConfig
from handseg.finetune.finder.settings import FinderConfig
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.pretrain.settings import ComposedData, PretrainConfig
from handseg.prompts import PromptRecipe
from handseg.runtime.config import (
    STRICT,
    assign,
    from_mapping,
    load_yaml,
    parse_assignments,
    read_yaml,
    save_yaml,
)

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, config=STRICT)
class Inner:
    size: int = 3


@dataclass(frozen=True, config=STRICT)
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
        ("nme: b", ["unknown keys nme", "known are inner, name", "did you mean name?"]),
        ("inner: {sizes: 5}", ["inner", "unknown keys sizes"]),
        ("inner: 5", ["inner", "mapping"]),
        ("name: ''", ["name must not be empty"]),
        ("name: 3", ["name must be text, got 3"]),
        ("inner: {size: true}", ["inner.size must be a whole number, got True"]),
        ("inner: {size: 2.0}", ["inner.size must be a whole number, got 2.0"]),
        ("a: [", ["not YAML"]),
    ],
)
def test_errors_name_the_file_and_the_key(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=r"run\.yaml") as error:
        load_yaml(Outer, path)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (FinetuneConfig, "recipe: {foreram: 1}", "recipe: unknown keys foreram.*mean forearm?"),
        (FinetuneConfig, "recipe: {box: 1}", "recipe.box must be true or false, got 1"),
        (FinetuneConfig, "recipe: {forearm: -1}", "recipe: forearm must be a number from 0"),
        (BaselineConfig, "network: {encodr: a}", "network: unknown keys encodr.*mean encoder?"),
        (BaselineConfig, "network: {opening: 1.5}", "network.opening must be a whole number"),
        (BaselineConfig, "network: {image_size: 100}", "network: image_size must be a multiple"),
    ],
)
def test_parts_that_models_bring_are_checked_as_well(
    kind: type, text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        load_yaml(kind, write(tmp_path, "data: {source: a}\n" + text))


def test_a_number_may_have_an_exponent_and_no_dot(tmp_path: Path) -> None:
    data = "data: {source: a}\n"
    path = write(tmp_path, data + "learning_rate: 1e-3\nwarmup: 0\n")
    assert load_yaml(FinetuneConfig, path).learning_rate == 0.001
    assert parse_assignments(["learning_rate=5E-4"]) == {"learning_rate": 0.0005}
    with pytest.raises(ValueError, match="learning_rate must be a number, got '1e-3'"):
        load_yaml(FinetuneConfig, write(tmp_path, data + "learning_rate: '1e-3'\n"))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yaml"):
        load_yaml(Outer, tmp_path / "none.yaml")


def test_saved_config_reads_back_equal(tmp_path: Path) -> None:
    config = PretrainConfig(
        data=ComposedData({"a": 1.0}, {}, ("b",), "objects", held_out=("x",)),
        recipe=PromptRecipe(skeleton=True, negatives=("gaps",)),
        epoch_samples=7,
    )
    save_yaml(config, tmp_path / "run.yaml")
    assert load_yaml(PretrainConfig, tmp_path / "run.yaml") == config


def test_what_a_nested_mapping_leaves_out_is_the_fields_default() -> None:
    config = from_mapping(FinetuneConfig, {"data": {"source": "a"}, "loss": {"iou": 0.2}}, "test")
    assert config.loss.boundary == FinetuneConfig(data=config.data).loss.boundary > 0
    assert config.loss.iou == 0.2


@pytest.mark.parametrize("path", sorted((ROOT / "finetune").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_configs_load(path: Path) -> None:
    if path.stem == "mix":
        assert len(read_mix(path)) > 1
        return
    kinds = dict.fromkeys(
        ("finder", "finder_scenes", "finder_close"), FinderConfig
    ) | dict.fromkeys(("lite", "lite_scenes", "lite_people"), PretrainConfig)
    assert load_yaml(kinds.get(path.stem, FinetuneConfig), path).batch_size > 0


@pytest.mark.parametrize("path", sorted((ROOT / "prompts").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_recipes_load(path: Path) -> None:
    # Held objects reach further past the landmarks than the hand itself.
    margin = 0.4 if path.stem == "object" else PromptRecipe().region_margin
    assert PromptRecipe.load(path).region_margin == margin
