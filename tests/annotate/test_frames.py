from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from handseg.annotate.frames import PhotoFolder, VideoFrames
from handseg.errors import ImageError
from handseg.io.files import save_image
from handseg.io.images import load_image
from handseg.io.video import is_video

SIZE = (64, 48)  # width, height


def frame_picture(number: int) -> np.ndarray:
    """Make a (48, 64, 3) RGB frame with its own grey on the left half, and red on the right."""
    image = np.zeros((*SIZE[::-1], 3), np.uint8)
    image[:, :32] = 10 + 12 * number
    image[:, 32:, 0] = 200
    return image


def write_video(path: Path, frames: int, code: str = "mp4v") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, SIZE)
    for number in range(frames):
        writer.write(cv2.cvtColor(frame_picture(number), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def number_of(image: np.ndarray) -> int:
    return round((float(image[8:40, 8:24].mean()) - 10) / 12)


@pytest.mark.parametrize(("suffix", "code"), [("mp4", "mp4v"), ("avi", "MJPG"), ("mkv", "mp4v")])
def test_frames_of_a_video_come_in_any_order(tmp_path: Path, suffix: str, code: str) -> None:
    video = VideoFrames(write_video(tmp_path / f"clip.{suffix}", 12, code))
    assert len(video) == 12
    for index in (0, 1, 5, 11, 3):
        image, seconds = video.read(index)
        assert number_of(image) == index
        assert seconds == pytest.approx(index / 10, abs=1e-3)
        assert image[20, 50, 0] > 150 > image[20, 50, 2]  # RGB
    assert video[5].name == "clip_000005"
    assert video[5].image == "clip_000005.jpg"
    with pytest.raises(ImageError, match="ends before frame 12"):
        video.read(12)


def test_a_video_is_turned_as_its_metadata_says(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 3)
    content = bytearray(path.read_bytes())
    # The matrix of the track's header, 16.16 fixed point: a quarter turn clockwise.
    matrix = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    turn = struct.pack(">9i", 0, one, 0, -one, 0, 0, SIZE[1] * one, 0, 1 << 30)
    content[matrix : matrix + 36] = turn
    path.write_bytes(content)
    image, _ = VideoFrames(path).read(2)
    assert image.shape == (64, 48, 3)
    assert abs(float(image[8:24, 8:40].mean()) - 34) < 6  # the left half is now on top
    assert image[50, 20, 0] > 150


def test_a_cut_off_video_gives_the_frames_that_it_has(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", 12)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    video = VideoFrames(path)
    assert 0 < len(video) < 12
    assert number_of(video.read(len(video) - 1)[0]) == len(video) - 1


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    for name, message in (("text.mp4", "is not a video"), ("missing.mov", "no such file")):
        with pytest.raises(ImageError, match=message) as caught:
            VideoFrames(tmp_path / name)
        assert name in str(caught.value)
    assert is_video("a.MP4")
    assert not is_video("a.jpg")


def test_a_video_whose_name_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 2, "MJPG")
    path = path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xfcbung.avi"))
    # OpenCV crashes, so another process tries it.
    code = "import sys; from handseg.io.video import Video; Video(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"ImageError" in done.stderr
    assert b"is not UTF-8" in done.stderr


def photo_files(root: Path, *names: str) -> None:
    for name in names:
        save_image(np.zeros((4, 6, 3), np.uint8), root / name)


def test_names_are_flat_and_no_two_photos_share_one(tmp_path: Path) -> None:
    photo_files(tmp_path, "a.jpg", "b.jpg", "b.png", "x/a.jpg", "x/y/c.jpg", "out/images/d.jpg")
    photos = PhotoFolder(str(tmp_path), tmp_path / "out", recursive=True)
    frames = [photos[index] for index in range(len(photos))]
    assert [(frame.name, frame.image) for frame in frames] == [
        ("a", "a.jpg"), ("b_jpg", "b_jpg.jpg"), ("b_png", "b_png.png"),
        ("x__a", "x__a.jpg"), ("x__y__c", "x__y__c.jpg"),
    ]  # fmt: skip
    assert [frame.sequence for frame in frames] == [".", ".", ".", "x", "x/y"]
    assert len(PhotoFolder(str(tmp_path), tmp_path / "out")) == 3


def test_names_of_deep_folders_fit_into_a_file_name(tmp_path: Path) -> None:
    deep = "/".join(letter * 100 for letter in "abc")
    photo_files(tmp_path / "in", f"{deep}/x.jpg", f"{deep}/y.jpg")
    photos = PhotoFolder(str(tmp_path / "in"), tmp_path / "out", recursive=True)
    names = [photos[index].name for index in range(2)]
    assert len(set(names)) == 2
    for name, photo in zip(names, (photos[0], photos[1]), strict=True):
        assert photo.image == f"{name}.jpg"
        (tmp_path / f"{name}.json").touch()
    video = VideoFrames(write_video(tmp_path / f"{'v' * 250}.avi", 2, "MJPG"))
    assert video[0].name != video[1].name
    (tmp_path / f"{video[1].name}.json").touch()


def test_names_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    photo_files(tmp_path, "x/a.jpg", "x__a_jpg.png", "x__a.jpg")
    with pytest.raises(ValueError, match="both be named x__a_jpg"):
        PhotoFolder(str(tmp_path), tmp_path / "out", recursive=True)


def test_numbered_photos_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    photo_files(tmp_path, "f9.png", "f10.png", "f1.png", "f01.png")
    plain, numbered = (
        PhotoFolder(str(tmp_path), tmp_path / "out", numbered=value) for value in (False, True)
    )
    assert [plain[index].name for index in range(4)] == ["f01", "f1", "f10", "f9"]
    assert [numbered[index].name for index in range(4)] == ["f01", "f1", "f9", "f10"]


def test_photos_are_copied_byte_for_byte(tmp_path: Path) -> None:
    photo_files(tmp_path / "in", "a.png")
    photos = PhotoFolder(str(tmp_path / "in"), tmp_path / "out")
    image, seconds = photos.read(0)
    assert seconds is None
    assert photos.content(0, image) == (tmp_path / "in/a.png").read_bytes()


def test_frames_of_a_video_are_kept_as_jpeg(tmp_path: Path) -> None:
    video = VideoFrames(write_video(tmp_path / "clip.mp4", 4))
    image, _ = video.read(3)
    kept = load_image(video.content(3, image))
    assert abs(kept.astype(int) - image).mean() < 3


def test_the_output_is_left_out_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo_files(tmp_path / "in", "a.png", "outside/b.png", "out/images/a.png")
    (tmp_path / "link").symlink_to(tmp_path / "in" / "out")
    monkeypatch.chdir(tmp_path / "in")
    for output in ("out", "../in/out", "../link"):
        photos = PhotoFolder(".", Path(output), recursive=True)
        assert [photos[index].name for index in range(len(photos))] == ["a", "outside__b"]


def test_a_folder_without_photos_is_named(tmp_path: Path) -> None:
    photo_files(tmp_path, "out/a.png")
    with pytest.raises(ImageError, match="holds no image"):
        PhotoFolder(str(tmp_path), tmp_path / "out", recursive=True)
