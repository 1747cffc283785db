from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image
from red_hands import LEFT, red_segmenter, save_pair
from typer.testing import CliRunner, Result

from handseg.cli import app
from handseg.data import Splits
from handseg.segmenter import HandSegmenter


def run(folder: Path | str, output: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Result:
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: red_segmenter())
    arguments = ["evaluate", str(folder), "--output", str(output), *options]
    monkeypatch.setattr("sys.argv", ["handseg", *arguments])
    return CliRunner().invoke(app, arguments)


def table_of(stdout: str) -> dict[str, list[str]]:
    """Return the cells of the printed table by row label."""
    lines = (re.split(r"\s{2,}", line.strip()) for line in stdout.splitlines())
    return {label: cells for label, *cells in lines if cells}


def test_command_prints_the_table_and_writes_the_report(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(folder, tmp_path / "report", monkeypatch)
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "report/summary.json").read_text())
    sources = summary["systems"]["handseg-lite"]
    assert list(sources) == ["mediapipe", "hits", "mask"]
    table = table_of(done.stdout)
    for label, name, form in (
        ("IoU", "iou", ".4f"),
        ("Dice", "dice", ".4f"),
        ("boundary F", "boundary_f", ".4f"),
        ("boundary IoU", "boundary_iou", ".4f"),
        ("contour distance, px", "mean_distance_px", ".2f"),
        ("contour distance, per mille", "mean_distance_per_mille", ".2f"),
        ("signed distance, px", "mean_signed_distance_px", "+.2f"),
        ("HD95, px", "hausdorff_95_px", ".2f"),
        ("pixel accuracy", "pixel_accuracy", ".4f"),
        ("mean IoU with background", "mean_iou_with_background", ".4f"),
    ):
        means = [one["metrics"][name]["mean"] for one in sources.values()]
        assert table[label] == [format(mean, form) for mean in means], label
    for label, statistic in (("median", "median"), ("5th percentile", "percentile_5")):
        values = [one["metrics"]["iou"][statistic] for one in sources.values()]
        assert table[f"IoU, {label}"] == [f"{value:.4f}" for value in values]
    assert table["photos"] == ["4", "3", "4"]
    assert table["missed"] == ["1", "0", "1"]
    assert table["failed"] == ["0", "0", "0"]
    assert table["interval drawn from"] == ["4 photos", "3 photos", "4 photos"]
    assert summary["recipes"]["handseg-lite"]["box_reach"] == 0.15
    assert summary["versions"]["handseg"]
    assert summary["command"] == f"handseg evaluate {folder} --output {tmp_path / 'report'}"
    assert all(len(line) <= 80 for line in done.stdout.splitlines()[:-1])


def test_one_prompt_source_is_enough(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for prompts, sources in (("mediapipe", ["mediapipe", "hits"]), ("mask", ["mask"])):
        output = tmp_path / prompts
        assert run(folder, output, monkeypatch, "--prompts", prompts).exit_code == 0
        summary = json.loads((output / "summary.json").read_text())
        assert list(summary["systems"]["handseg-lite"]) == sources


def test_models_are_shown_side_by_side(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, Any]] = []

    def from_pretrained(name: str, **options: Any) -> HandSegmenter:
        given.append((name, options["recipe"]))
        return red_segmenter()

    monkeypatch.setattr(HandSegmenter, "from_pretrained", from_pretrained)
    arguments = ["evaluate", str(folder), "--output", str(tmp_path / "report")]
    arguments += ["--model", "a/base", "--model", "runs/[b]", "--recipe", "r.yaml"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert given == [("a/base", Path("r.yaml")), ("runs/[b]", Path("r.yaml"))]
    summary = json.loads((tmp_path / "report/summary.json").read_text())
    assert list(summary["systems"]) == ["a/base", "runs/[b]"]
    assert {"a/base", "runs/[b]"} <= set(done.stdout.splitlines())
    assert (
        "runs/[b] against a/base, MediaPipe: IoU +0.0000 (95 % interval +0.0000 to +0.0000), "
        "better on 0 and worse on 0 of 4 photos"
    ) in done.stdout
    with (tmp_path / "report/per_photo.csv").open(newline="") as file:
        rows = [(row["system"], row["prompts"]) for row in csv.DictReader(file)]
    assert rows == [
        (name, source)
        for name in ("a/base", "runs/[b]")
        for source in ("mediapipe", "mask")
        for _ in range(4)
    ]


def test_an_adapter_is_a_part_of_its_systems_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, tmp_path / "report", monkeypatch, "--adapter", "lora").exit_code == 0
    summary = json.loads((tmp_path / "report/summary.json").read_text())
    assert list(summary["systems"]) == ["handseg-lite + lora"]
    assert (summary["models"], summary["adapter"]) == (["handseg-lite"], "lora")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "a", "--model", "b", "--adapter", "c"], "--adapter needs a single --model"),
        (["--model", "a", "--model", "a"], "twice"),
        (["--splits", "s.json"], "--splits and --part must be given together"),
        (["--part", "val"], "--splits and --part must be given together"),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    done = run(folder, tmp_path / "report", monkeypatch, *options)
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert not (tmp_path / "report").exists()


def test_a_second_model_that_cannot_be_loaded_costs_no_evaluation(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def from_pretrained(name: str, **_: Any) -> HandSegmenter:
        if name == "gone":
            raise ValueError("gone: no such model")
        return red_segmenter()

    def segment(*_: Any, **__: Any) -> None:
        raise AssertionError("a photo was segmented")

    monkeypatch.setattr(HandSegmenter, "from_pretrained", from_pretrained)
    monkeypatch.setattr(HandSegmenter, "segment", segment)
    arguments = ["evaluate", str(folder), "--output", str(tmp_path / "report")]
    done = CliRunner().invoke(app, [*arguments, "--model", "here", "--model", "gone"])
    assert done.exit_code == 2
    assert done.stderr == "Error: gone: no such model\n"


def test_command_names_bad_pairs_once_and_ends_with_1(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (7, 7)).save(folder / "masks/half.png")
    done = run(folder, tmp_path / "report", monkeypatch, "--model", "a", "--model", "b")
    assert done.exit_code == 1
    assert done.stderr.count("half.png") == 1
    table = table_of(done.stdout)
    assert table["photos"] == ["3", "2", "3"]
    assert table["missed"] == ["1", "0", "1"]
    assert table["failed"] == ["1", "1", "1"]
    summary = json.loads((tmp_path / "report/summary.json").read_text())
    for name in ("a", "b"):
        assert list(summary["systems"][name]["mediapipe"]["failed"]) == ["set/half"]


def test_command_with_nothing_to_compare_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pair(tmp_path / "set", "a", [LEFT], [LEFT])
    (tmp_path / "set/images/a.png").write_bytes(b"")
    done = run(tmp_path / "set", tmp_path / "report", monkeypatch)
    assert done.exit_code == 1
    assert "Failed:" in done.stderr
    assert list((tmp_path / "report").iterdir()) == []


@pytest.mark.parametrize("made", ["nothing", "images"])
def test_command_without_pairs_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    (tmp_path / "set" / made).mkdir(parents=True)
    done = run(tmp_path / "set", tmp_path / "report", monkeypatch)
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert not (tmp_path / "report").exists()


def test_interrupted_command_ends_with_130(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_ctrl_c(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(HandSegmenter, "segment", press_ctrl_c)
    done = run(folder, tmp_path / "report", monkeypatch)
    assert done.exit_code == 130
    assert done.stderr == "Interrupted.\n"
    assert list((tmp_path / "report").iterdir()) == []


def test_a_folder_of_pairs_needs_no_data_set_library(folder: Path) -> None:
    code = (
        "import sys\n"
        "from handseg.cli.evaluate import _find_photos\n"
        "assert len(_find_photos(sys.argv[1], 'folder', None, None, None)) == 4\n"
        "assert not {'datasets', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


@pytest.mark.parametrize("grouped", [False, True])
def test_masks_in_colour_are_measured_as_white_ones(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grouped: bool
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    if grouped:
        save_groups(folder)

    def measured(done: Result) -> dict[str, list[str]]:
        return {key: row for key, row in table_of(done.stdout).items() if "seconds" not in key}

    expected = measured(run(folder, tmp_path / "white", monkeypatch))
    for file in (folder / "masks").iterdir():
        mask = np.array(Image.open(file))
        classes = mask * np.uint8(1)
        classes[:9] = 2
        Image.fromarray(mask[..., None] * np.uint8([0, 0, 255])).save(file)
        (folder / "classes").mkdir(exist_ok=True)
        Image.fromarray(classes).save(folder / "classes" / file.name)
    assert measured(run(folder, tmp_path / "blue", monkeypatch)) == expected
    (folder / "masks").rename(folder / "blue")
    (folder / "classes").rename(folder / "masks")
    done = run(folder, tmp_path / "several", monkeypatch)
    assert done.exit_code == 1
    assert "has the values 0, 1, 2" in done.stderr
    done = run(folder, tmp_path / "classes", monkeypatch, "--mask-value", "1")
    assert done.exit_code == 0, done.output
    assert measured(done) == expected
    summary = json.loads((tmp_path / "classes/summary.json").read_text())
    assert summary["mask_value"] == "1"
    done = run(folder, tmp_path / "none", monkeypatch, "--mask-value", "green")
    assert done.exit_code == 2
    assert done.stderr == (
        "Error: mask_value must be a number from 0 or a colour R,G,B, got 'green'\n"
    )


def test_true_masks_without_a_hand_are_counted_and_all_of_them_are_no_success(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = sorted((folder / "masks").iterdir())
    Image.new("L", (160, 120)).save(masks[1])
    done = run(folder, tmp_path / "one", monkeypatch)
    assert done.exit_code == 0, done.output
    assert done.stderr == f"1 of 4 true masks are empty, such as set/{masks[1].stem}\n"
    for file in masks:
        Image.new("L", (160, 120)).save(file)
    done = run(folder, tmp_path / "all", monkeypatch)
    assert done.exit_code == 1
    assert "No true mask shows a hand (4 of 4)" in done.stderr


def save_groups(folder: Path) -> None:
    (folder / "groups.csv").write_text("id,group\nexact,ann\nhalf,ann\ndouble,ben\nmissed,cat\n")


@pytest.mark.parametrize(
    ("options", "drawn"), [([], "3 groups"), (["--group-pattern", "([adm])"], "3 groups")]
)
def test_groups_of_a_folder_are_drawn_together(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    drawn: str,
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    if not options:
        save_groups(folder)
    done = run(folder, tmp_path / "report", monkeypatch, "--prompts", "mask", *options)
    assert done.exit_code == 0, done.output
    assert table_of(done.stdout)["interval drawn from"] == [drawn]


def test_a_part_of_a_split_is_measured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    save_groups(folder)
    file = tmp_path / "splits.json"
    parts = {"train": ("exact", "half"), "val": ("missed", "double")}
    groups = {"exact": "ann", "half": "ann", "double": "ben", "missed": "cat"}
    Splits(parts, groups).save(file)
    options = ["--splits", str(file), "--part"]
    done = run(folder, tmp_path / "report", monkeypatch, *options, "val")
    assert done.exit_code == 0, done.output
    with (tmp_path / "report/per_photo.csv").open(newline="") as rows:
        photos = [(row["photo"], row["group"]) for row in csv.DictReader(rows)]
    assert photos == [("missed", "cat"), ("double", "ben")] * 2
    page = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    assert f"{folder}, val" in page
    done = run(folder, tmp_path / "other", monkeypatch, *options, "test")
    assert done.exit_code == 2
    assert "part must be one of train, val, got 'test'" in done.stderr


def test_a_part_of_the_official_split_is_measured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    options = ["--splits", "official", "--part", "test"]
    done = run(folder, tmp_path / "none", monkeypatch, *options)
    assert done.exit_code == 2
    assert "has no official split" in done.stderr
    lines = ["id,group,split", "exact,ann,test", "half,ann,test", "double,ben,train"]
    (folder / "groups.csv").write_text("\n".join([*lines, "missed,cat,"]) + "\n")
    done = run(folder, tmp_path / "report", monkeypatch, *options)
    assert done.exit_code == 0, done.output
    with (tmp_path / "report/per_photo.csv").open(newline="") as rows:
        assert {row["photo"] for row in csv.DictReader(rows)} == {"exact", "half"}


def test_a_layout_that_is_none_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(folder, tmp_path / "report", monkeypatch, "--layout", "fodler")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: layout must be one of folder, aitaca")


@pytest.mark.parametrize("name", ["summary.json", "per_photo.csv", "report.html", "worst.jpg"])
def test_files_of_somebody_else_are_not_replaced(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "own"
    output.mkdir()
    (output / name).write_text("{}")

    done = run(folder, output, monkeypatch)

    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        f"Error: {output / name}: there already, and not of a report; choose another folder"
    ]
    assert [path.read_text() for path in output.iterdir()] == ["{}"]


def test_a_report_takes_the_place_of_another(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for prompts in ("mask", "mediapipe"):
        assert run(folder, tmp_path / "r", monkeypatch, "--prompts", prompts).exit_code == 0
    summary = json.loads((tmp_path / "r/summary.json").read_text())
    assert "mask" not in summary["systems"]["handseg-lite"]
