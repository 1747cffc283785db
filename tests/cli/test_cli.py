from __future__ import annotations

import errno
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from red_hands import BLUE, GREEN, RedLandmarker, draw_photo, red_segmenter, save_photo
from typer.testing import CliRunner, Result

import handseg
from handseg.cli import app
from handseg.cli.outputs import find_photos
from handseg.models import bundled
from handseg.prompts import PromptRecipe
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter

ONE_HAND = (80, 60, 40, 25)

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in an empty folder, with a segmenter that takes red for hands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: red_segmenter())
    monkeypatch.setattr("handseg.segmenter.HandLandmarker", RedLandmarker)

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


def spoil_segmenting(monkeypatch: pytest.MonkeyPatch, before: Callable[[Path], None]) -> list[Path]:
    """Have `before` called with each photo that is about to be segmented; returns them as well."""
    asked: list[Path] = []
    original = HandSegmenter.segment

    def segment(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
        asked.append(image)
        before(image)
        return original(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", segment)
    return asked


def files_in(folder: Path) -> set[str]:
    """All files below `folder`, hidden ones, too."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def read_mask(path: Path) -> np.ndarray:
    mask = np.asarray(Image.open(path))
    assert set(np.unique(mask)) <= {0, 255}
    return mask == 255


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


# Starting


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["segment", "--help"], ["annotate", "--help"], ["evaluate", "-h"], ["--version"]],
)
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from handseg.cli import main\n"
        "try: main()\n"
        "finally: print('loaded:', *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.partition("loaded:")[2].split())
    assert "handseg.cli.segment" in loaded
    assert not loaded & {
        "cv2", "huggingface_hub", "mediapipe", "numpy", "peft", "PIL", "torch", "transformers",
    }  # fmt: skip


def test_version_is_printed_by_the_module_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "handseg", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"handseg {handseg.__version__}\n"


# What is written


def test_segment_writes_the_cut_out_and_nothing_else_unless_asked(run: Run) -> None:
    mask = save_photo(Path("photo.png"), ONE_HAND)
    done = run("segment", "photo.png")
    assert done.exit_code == 0, done.output
    assert files_in(Path("handseg_out")) == {"photo.png"}
    cutout = Image.open("handseg_out/photo.png")
    assert cutout.mode == "RGBA"
    assert overlap(np.asarray(cutout)[..., 3] >= 128, mask) > 0.97
    assert "1 done" in done.stdout


def test_segment_writes_mask_overlay_and_json(run: Run) -> None:
    mask = save_photo(Path("photo.png"), (50, 50, 30, 20), (130, 90, 15, 15))
    done = run("segment", "photo.png", "-o", "out", "--mask", "--overlay", "--json", "all.json")
    assert done.exit_code == 0, done.output
    assert files_in(Path("out")) == {"photo.png", "photo_mask.png", "photo_overlay.jpg"}
    assert overlap(read_mask(Path("out/photo_mask.png")), mask) > 0.97
    with Image.open("out/photo_overlay.jpg") as picture:
        assert picture.size == (160, 120)
    (row,) = json.loads(Path("all.json").read_text())
    assert (row["file"], row["width"], row["height"]) == ("photo.png", 160, 120)
    assert [hand["predicted_iou"] for hand in row["hands"]] == [0.75, 0.75]
    np.testing.assert_allclose(row["hands"][0]["box"], [20, 30, 80, 70], atol=1.5)


def test_objects_writes_what_the_hands_hold(run: Run) -> None:
    image, _ = draw_photo(ONE_HAND)
    image[50:70, 115:150] = BLUE
    Image.fromarray(image).save("photo.png")
    assert run("segment", "photo.png", "-o", "plain", "--json", "plain.json").exit_code == 0
    assert files_in(Path("plain")) == {"photo.png"}
    assert "object" not in json.loads(Path("plain.json").read_text())[0]["hands"][0]

    options = ("--objects", "--mask", "--json", "held.json")
    assert run("segment", "photo.png", "-o", "held", *options).exit_code == 0
    assert files_in(Path("held")) == {"photo.png", "photo_mask.png", "photo_object.png"}
    held = read_mask(Path("held/photo_object.png"))
    assert not (held & read_mask(Path("held/photo_mask.png"))).any()
    truth = (image == BLUE).all(-1)
    assert (held & truth).sum() / (held | truth).sum() > 0.9
    assert json.loads(Path("held.json").read_text())[0]["hands"][0]["object"]["area"] == held.sum()
    # The mask is a result like the others: without it the photo is done again.
    assert "1 skipped" in run("segment", "photo.png", "-o", "held", *options).stdout
    Path("held/photo_object.png").unlink()
    assert "1 done" in run("segment", "photo.png", "-o", "held", *options).stdout


def test_photo_without_a_hand_gets_an_empty_object_mask(run: Run) -> None:
    save_photo(Path("photo.png"))
    assert run("segment", "photo.png", "--objects").exit_code == 0
    assert not read_mask(Path("handseg_out/photo_object.png")).any()


def test_objects_of_a_model_without_such_a_stage_end_with_2(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(Path("photo.png"), ONE_HAND)
    monkeypatch.setattr(
        HandSegmenter, "from_pretrained", lambda *_, **__: HandSegmenter(red_segmenter().model)
    )
    result = run("segment", "photo.png", "--objects")
    assert result.exit_code == 2
    assert "--objects: " in result.stderr
    assert "object_adapter" in result.stderr
    assert not Path("handseg_out/photo.png").exists()


def test_max_hands_limits_the_hands(run: Run) -> None:
    save_photo(Path("photo.png"), (50, 50, 30, 20), (130, 90, 15, 15))
    run("segment", "photo.png", "--max-hands", "1", "--json", "all.json")
    (row,) = json.loads(Path("all.json").read_text())
    assert len(row["hands"]) == 1


def test_background_colour_takes_the_place_of_transparency(run: Run) -> None:
    mask = save_photo(Path("photo.png"), ONE_HAND)
    assert run("segment", "photo.png", "--background", "#0000ff").exit_code == 0
    picture = Image.open("handseg_out/photo.png")
    assert picture.mode == "RGB"
    blue = (np.asarray(picture) == (0, 0, 255)).all(axis=-1)
    assert overlap(~blue, mask) > 0.9


def test_background_picture_lies_behind_the_hands(run: Run) -> None:
    save_photo(Path("photo.png"), ONE_HAND)
    Image.new("RGB", (40, 30), "yellow").save("wall.png")
    assert run("segment", "photo.png", "--background", "wall.png").exit_code == 0
    assert Image.open("handseg_out/photo.png").getpixel((0, 0)) == (255, 255, 0)


def test_crop_cuts_cut_outs_and_composites_down_to_the_hand(run: Run) -> None:
    save_photo(Path("a.png"), ONE_HAND)
    for name, options in (("cut", []), ("laid", ["--background", "white"])):
        assert run("segment", "a.png", "--output", name, *options).exit_code == 0
        assert run("segment", "a.png", "--crop", "--output", f"{name}_c", *options).exit_code == 0
        whole, cropped = (Image.open(f"{folder}/a.png") for folder in (name, f"{name}_c"))
        assert cropped.mode == whole.mode
        box = whole.getbbox() if name == "cut" else ImageOps.invert(whole).getbbox()
        assert box is not None
        np.testing.assert_array_equal(np.asarray(cropped), np.asarray(whole.crop(box)))


def test_edge_is_that_of_cut_outs_and_composites(run: Run) -> None:
    save_photo(Path("a.png"), ONE_HAND)
    alphas = {}
    for edge in ("soft", "hard", "matte"):
        assert run("segment", "a.png", "--edge", edge, "--output", edge).exit_code == 0
        alphas[edge] = np.asarray(Image.open(f"{edge}/a.png"))[..., 3]
    assert set(np.unique(alphas["hard"])) == {0, 255}
    assert len(np.unique(alphas["soft"])) > 2
    assert (alphas["soft"] != alphas["matte"]).any()
    assert run("segment", "a.png", "--edge", "fuzzy").exit_code == 2


def test_forearm_and_holes_reach_the_segmenter(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    original = HandSegmenter.segment

    def segment(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
        asked.append(options)
        return original(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", segment)
    save_photo(Path("a.png"), ONE_HAND)
    for options in ([], ["--forearm", "--holes", "fill"], ["--no-forearm"]):
        assert run("segment", "a.png", "--overwrite", *options).exit_code == 0
    assert [(one["forearm"], one["holes"]) for one in asked] == [
        (None, "keep"), (True, "fill"), (False, "keep"),
    ]  # fmt: skip


def test_photo_without_a_hand_gets_empty_results_and_a_warning(run: Run) -> None:
    save_photo(Path("bare[1].png"))
    save_photo(Path("photo.png"), ONE_HAND)
    done = run("segment", "bare[1].png", "photo.png", "--mask", "-o", "out")
    assert done.exit_code == 0
    assert done.stderr == "No hand found: bare[1].png\n"
    assert "2 done (1 without a hand)" in done.stdout
    assert np.asarray(Image.open("out/bare[1].png"))[..., 3].max() == 0
    assert not read_mask(Path("out/bare[1]_mask.png")).any()


# Names


def names_of(inputs: list[str], recursive: bool = False) -> dict[str, str]:
    """Where the cut-outs of the photos go below "out"."""
    out = Path("out").absolute()
    photos = find_photos(inputs, Path("out"), recursive)
    return {photo.path.as_posix(): photo.picture.relative_to(out).as_posix() for photo in photos}


@pytest.mark.parametrize(
    ("files", "inputs", "expected"),
    [
        (["in/a.jpg"], ["in"], {"in/a.jpg": "a.png"}),
        (["in/a.jpg"], ["in/a.jpg"], {"in/a.jpg": "a.png"}),
        (["in/a.jpg"], ["in", "./in/../in/a.jpg"], {"in/a.jpg": "a.png"}),
        (
            ["in/a.jpg", "in/a.png", "in/b.png"],
            ["in"],
            {"in/a.jpg": "a_jpg.png", "in/a.png": "a_png.png", "in/b.png": "b.png"},
        ),
        # What lies beside a photo counts, whether or not the run takes it.
        (["in/a.jpg", "in/a.png"], ["in/a.jpg"], {"in/a.jpg": "a_jpg.png"}),
        # The mask of a.jpg and the cut-out of a_mask.png would have one name.
        (
            ["in/a.jpg", "in/a_mask.png"],
            ["in"],
            {"in/a.jpg": "a_jpg.png", "in/a_mask.png": "a_mask_png.png"},
        ),
        (
            ["in/a.jpg", "in/a.png", "in/a_png.jpg"],
            ["in/a.png", "in/a_png.jpg"],
            {"in/a.png": "a_png.png", "in/a_png.jpg": "a_png_jpg.png"},
        ),
        # Folders of names that are alike stay apart, and the common part is left out.
        (
            ["in/x/hand.jpg", "in/y/hand.jpg"],
            ["in/x", "in/y"],
            {"in/x/hand.jpg": "x/hand.png", "in/y/hand.jpg": "y/hand.png"},
        ),
        (
            ["in/x/o/hand.jpg", "in/y/o/hand.jpg", "in/y/other.txt"],
            ["in/*/o/hand.jpg"],
            {"in/x/o/hand.jpg": "x/o/hand.png", "in/y/o/hand.jpg": "y/o/hand.png"},
        ),
        (["a.jpg", "out/a.png", "out/b/c.png"], ["."], {"a.jpg": "a.png"}),
        (["in/a[1].jpg"], ["in/a[1].jpg"], {"in/a[1].jpg": "a[1].png"}),
    ],
)
def test_names_of_results(
    files: list[str],
    inputs: list[str],
    expected: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    assert names_of(inputs) == expected


def test_only_recursive_enters_folders_but_never_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("a.jpg", "sub/b.jpg", "out/a.png", "out/sub/b.png"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    assert names_of(["."]) == {"a.jpg": "a.png"}
    assert names_of(["."], recursive=True) == {"a.jpg": "a.png", "sub/b.jpg": "sub/b.png"}


stems = st.sampled_from(["a", "A", "a_jpg", "a_png", "a_mask", "a_jpg_mask", "a_mask_png", "a_b"])
photo_names = st.builds("{}{}".format, stems, st.sampled_from([".jpg", ".JPG", ".png", ".webp"]))
photo_paths = st.builds("{}{}".format, st.sampled_from(["", "x/", "y/", "x/y/"]), photo_names)


@settings(deadline=None)
@given(files=st.sets(photo_paths, min_size=1, max_size=12), data=st.data())
def test_no_two_photos_share_a_result_and_the_run_does_not_matter(
    files: set[str], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder, "in"), Path(folder, "out")
        for file in (*files, "anchor.gif"):
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).touch()
        photos = find_photos([str(root)], out, recursive=True)
        written = [path for photo in photos for path in (photo.picture, photo.mask, photo.overlay)]
        assert len(photos) == len(files) + 1
        assert len(set(written)) == 3 * len(photos)
        some = data.draw(st.lists(st.sampled_from(sorted(files))))
        again = find_photos([str(root / file) for file in ("anchor.gif", *some)], out, False)
        names = {photo.path: photo.result for photo in photos}
        assert {photo.path: photo.result for photo in again}.items() <= names.items()


# Runs that go on


def test_second_run_skips_what_is_done_and_loads_no_model(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.jpg", "bare.png"):
        save_photo(Path("in", name), *([] if name == "bare.png" else [ONE_HAND]))
    assert run("segment", "in").exit_code == 0
    Path("handseg_out/b.png").unlink()
    asked = spoil_segmenting(monkeypatch, lambda _: None)
    done = run("segment", "in")
    assert asked == [Path("in/b.jpg")]
    assert "1 done, 2 skipped" in done.stdout

    monkeypatch.setattr(HandSegmenter, "from_pretrained", None)
    done = run("segment", "in")
    assert done.exit_code == 0
    assert "0 done, 3 skipped" in done.stdout


def test_photo_is_done_again_for_a_result_that_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    run("segment", "in")
    asked = spoil_segmenting(monkeypatch, lambda _: None)
    for options in (["--mask"], ["--mask", "--overlay"], ["--json", "all.json"]):
        asked.clear()
        assert run("segment", "in", *options).exit_code == 0
        assert run("segment", "in", *options).exit_code == 0
        assert len(asked) == 1, options


def test_overwrite_does_everything_again(run: Run) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    run("segment", "in")
    Path("handseg_out/a.png").write_bytes(b"old")
    assert "1 skipped" in run("segment", "in").stdout
    assert Path("handseg_out/a.png").read_bytes() == b"old"
    assert "1 done" in run("segment", "in", "--overwrite").stdout
    with Image.open("handseg_out/a.png") as picture:
        assert picture.size == (160, 120)


def test_json_keeps_the_rows_of_other_photos(run: Run) -> None:
    save_photo(Path("in/b.png"), ONE_HAND)
    save_photo(Path("elsewhere/c.png"), ONE_HAND)
    run("segment", "in", "--json", "all.json")
    run("segment", "elsewhere", "--json", "all.json")
    save_photo(Path("in/a.png"))
    assert (
        "1 done (1 without a hand), 1 skipped" in run("segment", "in", "--json", "all.json").stdout
    )
    rows = json.loads(Path("all.json").read_text())
    assert {row["file"]: len(row["hands"]) for row in rows} == {
        "elsewhere/c.png": 1, "in/a.png": 0, "in/b.png": 1,
    }  # fmt: skip
    # A photo keeps one row, however it is named.
    save_photo(Path("in/b.png"))
    run("segment", Path("in/b.png").absolute(), "--json", "all.json", "--overwrite")
    rows = json.loads(Path("all.json").read_text())
    assert [len(row["hands"]) for row in rows] == [1, 0, 0]


def test_interrupted_run_leaves_nothing_half_done_and_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        save_photo(Path(f"in/{name}.png"), ONE_HAND)

    def press_ctrl_c(path: Path) -> None:
        if path.stem == "c":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        spoil_segmenting(patch, press_ctrl_c)
        done = run("segment", "in", "--mask", "--json", "all.json", "--jobs", "1")
    assert done.exit_code == 130
    assert "Interrupted" in done.stderr
    assert "2 done" in done.stdout
    assert files_in(Path("handseg_out")) == {"a.png", "a_mask.png", "b.png", "b_mask.png"}
    assert len(json.loads(Path("all.json").read_text())) == 2

    done = run("segment", "in", "--mask", "--json", "all.json")
    assert done.exit_code == 0
    assert "2 done, 2 skipped" in done.stdout
    assert len(json.loads(Path("all.json").read_text())) == 4


def test_interruption_while_writing_leaves_no_part_of_a_file(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)

    def press_ctrl_c(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", press_ctrl_c)
    assert run("segment", "in").exit_code == 130
    assert files_in(Path("handseg_out")) == set()


# Failures


def test_bad_file_is_named_in_one_line_and_the_rest_goes_on(run: Run) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    save_photo(Path("in/c.png"), ONE_HAND)
    Path("in/b.jpg").write_bytes(b"this is no photo")
    done = run("segment", "in", "--json", "all.json")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Failed: in/b.jpg")
    assert "2 done, 1 failed" in done.stdout
    assert files_in(Path("handseg_out")) == {"a.png", "c.png"}
    assert [row["file"] for row in json.loads(Path("all.json").read_text())] == [
        "in/a.png", "in/c.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("CUDA error:\nout of memory"), "RuntimeError: CUDA error: out of memory"),
        (MemoryError(), "MemoryError"),
        (PermissionError(13, "Permission denied", "/x/y"), "Permission denied: /x/y"),
    ],
)
def test_photo_that_fails_in_an_unplanned_way_does_not_end_the_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str
) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    save_photo(Path("in/b.png"), ONE_HAND)

    def fail_once(path: Path) -> None:
        if path.stem == "a":
            raise error

    spoil_segmenting(monkeypatch, fail_once)
    done = run("segment", "in")
    assert done.exit_code == 1
    assert done.stderr == f"Failed: in/a.png: {expected}\n"
    assert files_in(Path("handseg_out")) == {"b.png"}


def test_full_disk_ends_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        save_photo(Path(f"in/{name}.png"), ONE_HAND)

    def no_space(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "handseg_out/x.png")

    monkeypatch.setattr("handseg.cli.folder.save_image", no_space)
    asked = spoil_segmenting(monkeypatch, lambda _: None)
    done = run("segment", "in", "--jobs", "1")
    assert done.exit_code == 1
    assert len(asked) == 1
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["missing.jpg"], "missing.jpg"),
        (["in", "no*where.jpg"], "no*where.jpg"),
        (["empty"], "empty"),
        (["in", "--background", "blu"], "blu"),
        (["in", "--background", "text.txt"], "text.txt"),
        (["in", "--output", "in"], "in"),
        (["in", "--output", "text.txt"], "text.txt"),
        (["in", "--json", "text.txt"], "text.txt"),
        (["in", "--json", "empty"], "empty"),
        (["in", "--json", "numbers.json"], "numbers.json"),
        (["in", "--device", "toaster"], "toaster"),
        (["in", "--max-hands", "0"], "--max-hands"),
        (["in", "--bogus"], "--bogus"),
        ([], "INPUT"),
        (["https://example.com/a.jpg"], "curl -s 'https://example.com/a.jpg' | handseg segment -"),
        (["clip.mp4"], "handseg annotate clip.mp4"),
    ],
)
def test_command_that_cannot_run_says_why_and_ends_with_2(
    run: Run, arguments: list[str], named: str
) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    save_photo(Path("in/sub/a.png"), ONE_HAND)
    Path("empty").mkdir()
    Path("text.txt").write_text("[not JSON")
    Path("clip.mp4").write_bytes(b"frames")
    Path("numbers.json").write_text("[1, 2]")
    before = files_in(Path())
    done = run("segment", *arguments)
    assert done.exit_code == 2
    assert named in done.output
    assert "Traceback" not in done.output
    assert files_in(Path()) == before


def test_model_that_cannot_be_loaded_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_photo(Path("a.png"), ONE_HAND)
    Path("folder").mkdir()
    done = CliRunner().invoke(app, ["segment", "a.png", "--model", "folder", "--json", "a.json"])
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: folder: ")
    assert done.stdout == ""
    assert not Path("a.json").exists()
    done = CliRunner().invoke(app, ["evaluate", "folder"])
    assert done.exit_code == 2


def test_options_of_the_model_reach_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photo(Path("a.png"), ONE_HAND)
    given: list[Any] = []

    def from_pretrained(name: str, **options: Any) -> HandSegmenter:
        given.append((name, options))
        return red_segmenter()

    monkeypatch.setattr(HandSegmenter, "from_pretrained", from_pretrained)
    options = ["--model", "some/model", "--adapter", "lora", "--recipe", "r.yaml"]
    assert run("segment", "a.png", *options, "--device", "cpu").exit_code == 0
    ((name, values),) = given
    assert name == "some/model"
    assert values["adapter"] == Path("lora")
    assert values["recipe"] == Path("r.yaml")
    assert values["device"] == "cpu"


# info


def test_info_says_what_is_installed_and_that_weights_are_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "LITE_FOLDER", tmp_path / "nothing")
    done = run("info")
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["handseg"].endswith(handseg.__version__)
    assert "cpu" in done.stdout
    for name in ("python", "torch", "transformers", "mediapipe", "opencv"):
        assert any(sign.isdigit() for sign in lines[name]), name
    assert str(tmp_path / "nothing") in lines["weights"]


def test_info_describes_the_bundled_weights(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import save_file

    values = {
        "layer.weight": np.zeros((1000, 30), np.float16),
        "norm.running_mean": np.zeros(7000, np.float16),
    }
    save_file(values, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"prompt_encoder_config": {"image_size": 448}}')
    PromptRecipe(box_reach=0.21).save(tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-sa-4.0\n---\n")
    monkeypatch.setattr(bundled, "LITE_FOLDER", tmp_path)
    done = run("info")
    assert done.exit_code == 0, done.output
    for expected in ("0.03 million", "448 px", "box_reach=0.21", str(tmp_path), "cc-by-sa-4.0"):
        assert expected in done.stdout


def test_info_survives_weights_that_cannot_be_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    monkeypatch.setattr(bundled, "LITE_FOLDER", tmp_path)
    done = run("info")
    assert done.exit_code == 0, done.output
    assert "cannot be read" in done.stdout


# The real thing


@pytest.mark.slow
def test_command_with_the_bundled_weights(photo_folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "handseg", "segment", str(photo_folder / "images"),
         "--mask", "--json", "all.json", "--device", "cpu"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    photos = sorted((photo_folder / "images").iterdir())
    rows = json.loads((tmp_path / "all.json").read_text())
    assert [Path(row["file"]).name for row in rows] == [photo.name for photo in photos]
    assert all(row["hands"] for row in rows)
    for photo in photos:
        truth = read_mask(next((photo_folder / "masks").glob(f"{photo.stem}.*")))
        mask = read_mask(tmp_path / "handseg_out" / f"{photo.stem}_mask.png")
        assert overlap(mask, truth) > 0.8, photo.name


def test_drawn_photos_are_what_the_tests_take_them_for() -> None:
    image, mask = draw_photo(ONE_HAND)
    assert (image[~mask] == GREEN).all()
    assert 0.95 < mask.sum() / (np.pi * 40 * 25) < 1.06
