"""Names of results."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.cli.outputs import find_photos


def names_of(inputs: list[str], recursive: bool = False) -> dict[str, str]:
    """Return the photos' cut-outs as paths below "out"."""
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
        # Files next to a photo count, whether or not the run includes them.
        (["in/a.jpg", "in/a.png"], ["in/a.jpg"], {"in/a.jpg": "a_jpg.png"}),
        # The mask of a.jpg and the cut-out of a_mask.png would have the same name.
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
        # Folders with the same name stay separate, and the common part is dropped.
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
