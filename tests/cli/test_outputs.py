"""Results never replace a photo, whatever links lead to it."""

import os
import shutil
from pathlib import Path

import pytest

from handseg.cli.outputs import find_photos


@pytest.fixture
def photo(photo_folder, tmp_path):
    folder = tmp_path / "real"
    folder.mkdir()
    source = sorted((photo_folder / "images").iterdir())[0]
    return Path(shutil.copy(source, folder / "hand.png"))


def test_output_is_the_photos_folder_behind_a_link(photo, tmp_path):
    (tmp_path / "link").symlink_to(photo.parent)

    with pytest.raises(ValueError, match="is the folder of the photos"):
        find_photos([str(tmp_path / "link" / "hand.png")], photo.parent, False)
    with pytest.raises(ValueError, match="is the folder of the photos"):
        find_photos([str(photo)], tmp_path / "link", False)


def test_a_photo_that_is_a_link_into_the_output_folder(photo, tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    (album / "hand.png").symlink_to(photo)

    with pytest.raises(ValueError, match="would replace a photo"):
        find_photos([str(album)], photo.parent, False)


def test_a_working_directory_entered_through_a_link(photo, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(photo.parent)
    monkeypatch.chdir(tmp_path / "link")

    with pytest.raises(ValueError, match="is the folder of the photos"):
        find_photos([str(photo)], Path(), False)


def test_results_in_a_folder_behind_a_link_are_not_photos(photo, tmp_path):
    results = photo.parent / "results"
    results.mkdir()
    shutil.copy(photo, results / "hand.png")
    (tmp_path / "link").symlink_to(results)

    found = find_photos([str(photo.parent)], tmp_path / "link", True)

    assert [one.path for one in found] == [photo]


def test_dots_after_a_link_mean_what_a_shell_means(photo, tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "link").symlink_to(deep)

    (found,) = find_photos([str(photo)], tmp_path / "link" / ".." / "res", False)

    assert os.path.realpath(found.picture) == str(tmp_path / "a" / "res" / "hand.png")


def test_links_in_the_output_path_are_kept(photo, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    (found,) = find_photos([str(photo)], tmp_path / "link", False)

    assert found.picture == tmp_path / "link" / "hand.png"
