from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from red_hands import draw_photo, red_segmenter, save_photo
from typer.testing import CliRunner

from handseg.cli import app
from handseg.contact_sheet import BOTH, PREDICTION, TRUTH, draw_case, draw_sheet
from handseg.evaluate import Evaluation, evaluate_pairs, write_report
from handseg.pairs import Pair, find_pairs, load_mask
from handseg.predictor import HandSegmenter

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
    found = {photo.pair.id: photo for photo in evaluation.photos}
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
    assert [photo.pair.id for photo in evaluation.photos] == ["set/double"]
    assert set(evaluation.failures) == {"set/exact", "set/half", "set/missed"}
    assert "exact.png" in evaluation.failures["set/exact"]
    assert "(7, 7)" in evaluation.failures["set/half"]
    assert evaluation.failures["set/missed"] == "RuntimeError: out of memory"


# Reports


def test_report_holds_the_numbers(folder: Path, tmp_path: Path) -> None:
    evaluation = evaluate(folder)
    write_report(evaluation, tmp_path / "report", {"model": "red"})
    summary = json.loads((tmp_path / "report/summary.json").read_text())
    assert summary["model"] == "red"
    assert (summary["photos"], summary["missed"], summary["failed"]) == (4, 1, {})
    assert summary["metrics"] == evaluation.summary.metrics
    with (tmp_path / "report/per_photo.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["photo"] for row in rows] == [photo.pair.id for photo in evaluation.photos]
    assert [row["missed"] for row in rows] == ["0", "0", "0", "1"]
    for row, photo in zip(rows, evaluation.photos, strict=True):
        assert float(row["iou"]) == photo.metrics.iou
        assert int(row["false_negatives"]) == photo.metrics.counts.false_negatives
        assert float(row["seconds"]) > 0
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "summary.json", "per_photo.csv", "worst.jpg",
    }  # fmt: skip


def test_evaluation_without_a_photo_has_no_report(tmp_path: Path) -> None:
    evaluation = Evaluation((), {"set/a": "gone"})
    with pytest.raises(ValueError, match="at least one photo"):
        write_report(evaluation, tmp_path)
    assert list(tmp_path.iterdir()) == []


# Contact sheet


def nearest(pixel: np.ndarray) -> tuple[int, ...]:
    """Which of the three colours a tinted grey pixel leans to."""
    lean = pixel.astype(float) - pixel.mean()
    colours = [np.array(colour, float) for colour in (TRUTH, PREDICTION, BOTH)]
    scores = [
        lean @ (colour - colour.mean()) / np.linalg.norm(colour - colour.mean())
        for colour in colours
    ]
    return (TRUTH, PREDICTION, BOTH)[int(np.argmax(scores))]


def test_case_tints_what_one_mask_alone_and_what_both_cover() -> None:
    image = np.full((300, 400, 3), 128, np.uint8)
    truth, prediction = np.zeros((2, 300, 400), bool)
    truth[100:200, 100:250] = True
    prediction[100:200, 150:300] = True
    picture = np.asarray(draw_case("a", 0.5, image, truth, prediction).picture)
    middle = len(picture) // 2
    across = [nearest(pixel) for pixel in picture[middle] if np.ptp(pixel.astype(int)) > 8]
    order = [colour for at, colour in enumerate(across) if at == 0 or across[at - 1] != colour]
    # Truth, its contour hidden below the prediction's, both, the truth's contour, prediction.
    assert [order[0], order[-1]] == [TRUTH, PREDICTION]
    assert set(order) == {TRUTH, BOTH, PREDICTION}
    for colour in (TRUTH, BOTH, PREDICTION):
        assert across.count(colour) > 50
    assert (picture[2, 2] == 128).all()


def test_case_shows_the_hands_not_the_whole_photo() -> None:
    image = np.zeros((1000, 1000, 3), np.uint8)
    truth = np.zeros((1000, 1000), bool)
    truth[700:740, 600:640] = True
    picture = np.asarray(draw_case("a", 0, image, truth, np.zeros_like(truth)).picture)
    assert (picture.max(axis=-1) > 60).mean() > 0.1


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (900, 3), (40, 30), (600, 1500)])
def test_every_photo_fits_its_place(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    for density in (0, 0.5, 1):
        truth, prediction = rng.random((2, *shape)) < density
        case = draw_case("a", 1.0, image, truth, prediction)
        assert case.picture.width <= 560
        assert case.picture.height <= 420
        assert max(case.picture.width / 560, case.picture.height / 420) == pytest.approx(
            1, abs=0.01
        )


@pytest.mark.parametrize("count", [1, 3, 4, 12])
def test_sheet_shows_every_case(count: int) -> None:
    blank, mask = np.zeros((42, 56, 3), np.uint8), np.zeros((42, 56), bool)
    name = "a name that is by far too long to be written below a picture of this width, isn't it"
    cases = [draw_case(name, 0.5, blank + np.uint8(9 * at), mask, mask) for at in range(count)]
    sheet = np.asarray(draw_sheet(cases, "Worst of 12"))
    rows = math.ceil(count / 3)
    assert sheet.shape[0] == pytest.approx(rows * 470, abs=60)
    for at in range(count):
        assert (sheet == 9 * at).all(axis=-1).sum() >= 560 * 420


# The command


def run(folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: red_segmenter())
    return CliRunner().invoke(app, ["evaluate", str(folder), "--output", str(output)])


def test_command_prints_the_table_and_writes_the_report(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(folder, tmp_path / "report", monkeypatch)
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "report/summary.json").read_text())
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    for name in ("iou", "dice", "pixel_accuracy", "boundary_f", "mean_iou_with_background"):
        values = summary["metrics"][name]
        assert lines[name] == [f"{values[key]:.4f}" for key in ("mean", "median", "worst")]
    assert {"boundary_iou", "mean_distance_px", "mean_distance_per_mille", "hausdorff_95_px"} <= (
        lines.keys()
    )
    assert "4 photos, 1 missed" in done.stdout
    assert summary["model"] == "handseg-lite"
    assert summary["recipe"]["box_reach"] == 0.15
    assert summary["versions"]["handseg"]
    assert summary["command"].startswith("handseg ")


def test_command_names_bad_pairs_and_ends_with_1(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (7, 7)).save(folder / "masks/half.png")
    done = run(folder, tmp_path / "report", monkeypatch)
    assert done.exit_code == 1
    assert "set/half" in done.stderr
    assert "3 photos, 1 missed (no hand found, IoU 0), 1 failed" in done.stdout
    summary = json.loads((tmp_path / "report/summary.json").read_text())
    assert list(summary["failed"]) == ["set/half"]


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


@pytest.mark.slow
def test_carried_weights_find_the_hands_of_the_photos(
    photo_folder: Path, segmenter: HandSegmenter, tmp_path: Path
) -> None:
    evaluation = evaluate_pairs(segmenter, find_pairs(photo_folder))
    assert evaluation.summary.missed == 0
    assert not evaluation.failures
    assert evaluation.summary.metrics["iou"]["worst"] > 0.8
    write_report(evaluation, tmp_path)
    assert Image.open(tmp_path / "worst.jpg").width > 1000
