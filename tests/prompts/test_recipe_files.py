from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.prompts import PromptRecipe

RECIPES = st.builds(
    PromptRecipe,
    positives=st.lists(
        st.sampled_from(["palm", "joints", "tips", "beyond_tips", "grip"]), unique=True
    ).map(tuple),
    negatives=st.lists(st.sampled_from(["gaps", "wrist"]), unique=True).map(tuple),
    box=st.just(True),
    box_reach=st.floats(0, 1),
    skeleton=st.booleans(),
    region_margin=st.floats(0, 2),
    outline=st.floats(-0.1, 0.1),
)


class TestValidation:
    @pytest.mark.parametrize(
        ("values", "named"),
        [
            ({"positives": ["palm", "nails"]}, "positives"),
            ({"positives": "palm"}, "positives"),
            ({"positives": None}, "positives"),
            ({"positives": [["palm"]]}, "positives"),
            ({"negatives": ["tips"]}, "negatives"),
            ({"negatives": 3}, "negatives"),
            (
                {"positives": ["palm"], "negatives": ["palm"]},
                "must not share groups, got palm in both",
            ),
            ({"box": "no"}, "box"),
            ({"box": None}, "box"),
            ({"skeleton": 1}, "skeleton"),
            ({"box_reach": -0.1}, "box_reach"),
            ({"box_reach": 1.5}, "box_reach"),
            ({"box_reach": float("nan")}, "box_reach"),
            ({"box_reach": "0.2"}, "box_reach"),
            ({"region_margin": 2.5}, "region_margin"),
            ({"region_margin": None}, "region_margin"),
            ({"outline": 0.11}, "outline must be a number from -0.1 to 0.1, got 0.11"),
            ({"outline": -0.11}, "outline"),
            ({"outline": float("nan")}, "outline"),
            ({"outline": "0.05"}, "outline"),
            ({"outline": None}, "outline"),
            ({"box": False, "positives": []}, "box, positives or a skeleton"),
        ],
    )
    def test_names_what_is_wrong(self, values: dict[str, Any], named: str) -> None:
        with pytest.raises(ValueError, match=named):
            PromptRecipe.from_dict(values)

    def test_unknown_keys_are_named(self) -> None:
        with pytest.raises(ValueError, match="boxes, margin; known are box, box_reach"):
            PromptRecipe.from_dict({"boxes": True, "margin": 0.1, "box": True})

    def test_unknown_keys_may_be_numbers(self) -> None:
        with pytest.raises(ValueError, match="unknown keys in a prompt recipe: 1, x"):
            PromptRecipe.from_dict(yaml.safe_load("{x: 1, 1: 2}"))

    @pytest.mark.parametrize("outline", [-0.1, 0, 0.0125, 0.1])
    def test_outline_may_be_inside_or_outside_of_the_edge(self, outline: float) -> None:
        assert PromptRecipe(outline=outline).outline == outline

    def test_takes_lists(self) -> None:
        assert PromptRecipe(positives=["tips"]).positives == ("tips",)  # type: ignore[arg-type]


class TestFiles:
    @given(RECIPES)
    @settings(deadline=None)
    def test_dict_and_back(self, recipe: PromptRecipe) -> None:
        through_json = json.loads(json.dumps(recipe.to_dict()))
        assert PromptRecipe.from_dict(through_json) == recipe

    @given(recipe=RECIPES)
    @settings(deadline=None, max_examples=20)
    def test_folder_and_back(
        self, recipe: PromptRecipe, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("recipe")
        recipe.save(folder)
        assert PromptRecipe.load(folder) == recipe
        (file,) = folder.iterdir()
        assert PromptRecipe.load(file) == recipe

    @pytest.mark.parametrize("outline", [-0.1, -0.0123, 0.0, 0.1])
    def test_outline_and_back(self, outline: float, tmp_path: Path) -> None:
        PromptRecipe(outline=outline).save(tmp_path)
        assert PromptRecipe.load(tmp_path).outline == outline

    def test_without_an_outline_has_it_on_the_edge(self, tmp_path: Path) -> None:
        file = tmp_path / "older.yaml"
        file.write_text("box: true\n")
        assert PromptRecipe.load(file).outline == 0

    def test_yaml(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.yaml"
        file.write_text("# no box\nbox: false\npositives: [palm, tips]\nnegatives: []\n")
        expected = PromptRecipe(box=False, positives=("palm", "tips"), negatives=())
        assert PromptRecipe.load(file) == expected

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"box: [", "not a YAML or JSON file"),
            (b"\xff\xfe\x00\x81", "not a YAML or JSON file"),
            (b"- palm\n", "must hold a mapping"),
            (b"", "must hold a mapping"),
            (b"reach: 1\n", "unknown keys in a prompt recipe: reach"),
        ],
    )
    def test_broken_files(self, content: bytes, message: str, tmp_path: Path) -> None:
        file = tmp_path / "recipe.yaml"
        file.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            PromptRecipe.load(file)

    def test_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"nowhere\.yaml"):
            PromptRecipe.load(tmp_path / "nowhere.yaml")
        with pytest.raises(ValueError, match=r"prompt_recipe\.json"):
            PromptRecipe.load(tmp_path)
