from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image
from red_hands import draw_photo, red_segmenter, save_photo
from typer.testing import CliRunner, Result

from handseg.cli import app
from handseg.evaluate import MASK, MEDIAPIPE, Evaluation, evaluate_pairs
from handseg.finetune.data import Splits
from handseg.pairs import Pair, find_pairs, load_mask
from handseg.predictor import HandSegmenter
from handseg.report import write_report
from handseg.results import HandSegmentation

LEFT, RIGHT = (45, 60, 25, 35), (120, 60, 25, 35)


def save_pair(folder: Path, stem: str, hands: Sequence, truth: Sequence) -> None:
    """A photo of the ellipses `hands` whose mask shows those of `truth`."""
    save_photo(folder / "images" / f"{stem}.png", *hands)
    (folder / "masks").mkdir(exist_ok=True)
    Image.fromarray(draw_photo(*truth)[1]).save(folder / "masks" / f"{stem}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos: an exact one, half of the truth, twice the truth, and a miss."""
    path = tmp_path / "set"
    save_pair(path, "exact", [LEFT, RIGHT], [LEFT, RIGHT])
    save_pair(path, "half", [LEFT], [LEFT, RIGHT])
    save_pair(path, "double", [LEFT, RIGHT], [LEFT])
    save_pair(path, "missed", [], [RIGHT])
    return path


def evaluate(folder: Path, **options) -> Evaluation:
    with red_segmenter() as segmenter:
        return evaluate_pairs(segmenter, find_pairs(folder), **options)


# Pairs


def test_pairs_are_photos_and_masks_of_one_stem(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_photo(folder / "images/alone.png")
    save_photo(folder / "masks/other.png")
    (folder / "images/notes.txt").touch()
    (folder / "images/.hidden.png").touch()
    pairs = find_pairs(folder)
    assert [pair.id for pair in pairs] == ["set/double", "set/exact", "set/half", "set/missed"]
    assert pairs[0] == Pair("set/double", folder / "images/double.png", folder / "masks/double.png")
    assert "alone.png" in caplog.text
    image, mask = pairs[0].load()
    expected_image, _ = draw_photo(LEFT, RIGHT)
    _, expected_mask = draw_photo(LEFT)
    np.testing.assert_array_equal(image, expected_image)
    np.testing.assert_array_equal(mask, expected_mask)


def test_pairs_of_the_folder_one_is_in_have_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert find_pairs(".")[0].id == "set/double"


def test_folder_without_pairs_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images"):
        find_pairs(tmp_path)
    save_photo(folder / "masks/exact.jpg")
    with pytest.raises(ValueError, match=r"exact\.jpg and exact\.png"):
        find_pairs(folder)
    save_photo(tmp_path / "b/images/one.png")
    save_photo(tmp_path / "b/masks/two.png")
    with pytest.raises(ValueError, match="no photo"):
        find_pairs(tmp_path / "b")


@pytest.mark.parametrize("size", [(10, 6), (6, 10)])
def test_mask_of_another_size_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("L", (6, 9)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png is \(9, 6\)"):
        load_mask(tmp_path / "m.png", size)


def test_mask_of_zeros_and_ones_is_refused_and_an_empty_one_is_not(tmp_path: Path) -> None:
    values = np.zeros((4, 5), np.uint8)
    Image.fromarray(values).save(tmp_path / "empty.png")
    assert not load_mask(tmp_path / "empty.png", (4, 5)).any()
    values[1, 2] = 1
    Image.fromarray(values).save(tmp_path / "ones.png")
    with pytest.raises(ValueError, match=r"ones\.png has values up to 1"):
        load_mask(tmp_path / "ones.png", (4, 5))


# Evaluating


def test_all_hands_found_are_compared_with_all_of_the_mask(folder: Path) -> None:
    evaluation = evaluate(folder)
    found = {photo.id: photo for photo in evaluation.photos}
    assert {name: photo.hands for name, photo in found.items()} == {
        "set/double": 2, "set/exact": 2, "set/half": 1, "set/missed": 0,
    }  # fmt: skip
    ious = {name: photo.metrics.iou for name, photo in found.items()}
    assert ious["set/exact"] > 0.97
    assert ious["set/half"] == pytest.approx(0.5, abs=0.02)
    assert ious["set/double"] == pytest.approx(0.5, abs=0.02)
    assert ious["set/missed"] == 0
    assert evaluation.summary.photos == 4
    assert evaluation.summary.missed == 1
    assert evaluation.summary.metrics["iou"]["mean"] == pytest.approx(np.mean(list(ious.values())))
    assert not evaluation.failures


def test_scores_hold_what_the_model_expects_and_no_group_where_none_is_known(folder: Path) -> None:
    found = {photo.id: photo for photo in evaluate(folder).photos}
    assert found["set/exact"].predicted_iou == pytest.approx(0.75)
    assert found["set/missed"].predicted_iou is None
    assert {photo.group for photo in found.values()} == {None}


def test_hits_are_the_photos_with_a_hand_found(folder: Path) -> None:
    everything = evaluate(folder)
    hits = everything.hits()
    assert [photo.id for photo in hits.photos] == ["set/double", "set/exact", "set/half"]
    assert hits.summary.missed == 0
    ious = [photo.metrics.iou for photo in everything.photos if photo.id != "set/missed"]
    assert hits.summary.metrics["iou"]["mean"] == pytest.approx(np.mean(ious))
    assert "set/missed" in {case.name for case in everything.worst}
    assert "set/missed" not in {case.name for case in hits.worst}


def test_prompts_from_the_mask_need_no_landmarks(folder: Path) -> None:
    class Blind:
        max_hands = 10

        def detect(self, image: np.ndarray) -> list:
            raise AssertionError("MediaPipe was asked")

        def close(self) -> None:
            pass

    segmenter = HandSegmenter(red_segmenter().model, landmarker=Blind())
    evaluation = evaluate_pairs(segmenter, find_pairs(folder), prompts=MASK)
    found = {photo.id: photo for photo in evaluation.photos}
    # The mask of "half" shows two hands and the photo one: a prompt on nothing finds nothing.
    assert {name: photo.hands for name, photo in found.items()} == {
        "set/double": 1, "set/exact": 2, "set/half": 2, "set/missed": 1,
    }  # fmt: skip
    assert found["set/exact"].metrics.iou > 0.97
    assert found["set/double"].metrics.iou > 0.97  # only what is in the mask was asked for
    assert found["set/missed"].metrics.iou == 0
    assert evaluation.summary.missed == 1


def test_prompts_from_an_empty_mask_find_nothing(tmp_path: Path) -> None:
    save_pair(tmp_path / "set", "none", [LEFT], [])
    (photo,) = evaluate(tmp_path / "set", prompts=MASK).photos
    assert (photo.hands, photo.metrics.iou) == (0, 1)


def test_unknown_prompts_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r'"mediapipe" or "mask".*hits'):
        evaluate(folder, prompts="hits")


@dataclass(frozen=True)
class PhotoOfSomeone:
    pair: Pair
    group: str

    @property
    def id(self) -> str:
        return self.pair.id

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        return self.pair.load()


def test_groups_of_the_photos_are_what_the_bootstrap_draws(folder: Path) -> None:
    people = zip(find_pairs(folder), ("ann", "ben", "ann", ""), strict=True)
    with red_segmenter() as segmenter:
        photos = [PhotoOfSomeone(pair, name) for pair, name in people]
        evaluation = evaluate_pairs(segmenter, photos, seed=3)
    assert [photo.group for photo in evaluation.photos] == ["ann", "ben", "ann", None]
    assert (evaluation.summary.resampled, evaluation.summary.units) == ("groups", 3)
    assert (evaluation.seed, evaluation.hits().seed) == (3, 3)


def test_max_hands_limits_what_is_found(folder: Path) -> None:
    evaluation = evaluate(folder, max_hands=1)
    assert [photo.hands for photo in evaluation.photos] == [1, 1, 1, 0]


def test_worst_photos_come_worst_first(folder: Path) -> None:
    save_pair(folder, "tiny", [(45, 60, 5, 5)], [LEFT])
    names = [case.name for case in evaluate(folder, worst=2).worst]
    assert names == ["set/missed", "set/tiny"]
    assert evaluate(folder, worst=0).worst == ()


def test_progress_wraps_the_pairs(folder: Path) -> None:
    seen: list[str] = []

    def progress(pairs: Sequence[Pair]) -> Iterator[Pair]:
        assert len(pairs) == 4
        for pair in pairs:
            seen.append(pair.id)
            yield pair

    evaluate(folder, progress=progress)
    assert len(seen) == 4


def test_bad_pairs_are_reported_and_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "images/exact.png").write_bytes(b"no photo")
    Image.new("L", (7, 7)).save(folder / "masks/half.png")
    original = HandSegmenter.segment

    def segment(self: HandSegmenter, image: np.ndarray, **options):
        if (image == draw_photo()[0]).all():
            raise RuntimeError("out of memory")
        return original(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", segment)
    evaluation = evaluate(folder)
    assert [photo.id for photo in evaluation.photos] == ["set/double"]
    assert set(evaluation.failures) == {"set/exact", "set/half", "set/missed"}
    assert "exact.png" in evaluation.failures["set/exact"]
    assert "(7, 7)" in evaluation.failures["set/half"]
    assert evaluation.failures["set/missed"] == "RuntimeError: out of memory"


# The command


def run(folder: Path | str, output: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Result:
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: red_segmenter())
    return CliRunner().invoke(app, ["evaluate", str(folder), "--output", str(output), *options])


def table_of(stdout: str) -> dict[str, list[str]]:
    """The cells of the printed table by the label of their line."""
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
    assert summary["command"].startswith("handseg ")
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
        (["--model", "a", "--model", "b", "--adapter", "c"], "--adapter goes with one --model"),
        (["--model", "a", "--model", "a"], "twice"),
        (["--splits", "s.json"], "--splits and --part go together"),
        (["--part", "val"], "--splits and --part go together"),
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


@pytest.mark.slow
def test_carried_weights_find_the_hands_of_the_photos(
    photo_folder: Path, segmenter: HandSegmenter, tmp_path: Path
) -> None:
    systems = {
        "handseg-lite": {
            source: evaluate_pairs(segmenter, find_pairs(photo_folder), prompts=source)
            for source in (MEDIAPIPE, MASK)
        }
    }
    for evaluation in systems["handseg-lite"].values():
        assert evaluation.summary.missed == 0
        assert not evaluation.failures
        assert evaluation.summary.metrics["iou"]["worst"] > 0.8
    write_report(systems, tmp_path)
    assert Image.open(tmp_path / "worst.jpg").width > 1000


def test_anything_that_segments_can_be_judged(tmp_path: Path) -> None:
    mask = save_photo(tmp_path / "images" / "a.png", (80, 60, 40, 30))
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")

    class Other:
        def segment(self, image: Any, max_hands: int = 4) -> HandSegmentation:
            return red_segmenter().segment(image, max_hands=max_hands)

    evaluation = evaluate_pairs(Other(), find_pairs(tmp_path))
    assert not evaluation.failures
    assert evaluation.photos[0].metrics.iou > 0.95
