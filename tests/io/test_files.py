from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from handseg.errors import ImageError
from handseg.io.files import IMAGE_SUFFIXES, encode_image, find_images, save_image
from handseg.io.images import load_image, read_image
from handseg.runtime.files import write_atomic

PHOTO = np.array(
    [
        [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        [[10, 20, 30], [200, 100, 50], [0, 0, 0]],
    ],
    np.uint8,
)


def noise(height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = (
        "b.jpg a.PNG notes.txt .hidden.jpg sub/c.webp sub/deep/d.tif .git/e.jpg [1].png empty/x.txt"
    )
    for name in names.split():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "folder.jpg").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["."], ["[1].png", "a.PNG", "b.jpg"]),
        (["sub"], ["sub/c.webp"]),
        (["b.jpg", "a.PNG", "./b.jpg"], ["b.jpg", "a.PNG"]),
        (["b.jpg", "."], ["b.jpg", "[1].png", "a.PNG"]),
        (["notes.txt", ".hidden.jpg"], ["notes.txt", ".hidden.jpg"]),
        (["[1].png"], ["[1].png"]),
        (["*.jpg", "b.jpg"], ["b.jpg"]),
        (["[ab].*"], ["a.PNG", "b.jpg"]),
        (["**/*.*"], ["[1].png", "a.PNG", "b.jpg", "sub/c.webp", "sub/deep/d.tif"]),
        (["su*"], ["sub/c.webp"]),
        (["sub/**"], ["sub/c.webp", "sub/deep/d.tif"]),
        ([], []),
        ("sub", ["sub/c.webp"]),
    ],
)
def test_find_images(folder: Path, inputs: list[str], expected: list[str]) -> None:
    # A folder named like an image is still a folder: "*.jpg" finds nothing in it.
    assert find_images(inputs) == [Path(name) for name in expected]


def test_find_images_in_all_folders_below(folder: Path) -> None:
    expected = ["[1].png", "a.PNG", "b.jpg", "sub/c.webp", "sub/deep/d.tif"]
    assert find_images([folder], recursive=True) == [folder / name for name in expected]


def test_a_file_by_two_names_is_found_once(folder: Path) -> None:
    assert find_images([folder / "b.jpg", "b.jpg", "sub/../b.jpg"]) == [folder / "b.jpg"]


@pytest.mark.parametrize("entry", ["gone.jpg", "*.bmp", "empty", "empty/*", "*.txt", "folder.jpg"])
def test_inputs_that_give_nothing(folder: Path, entry: str) -> None:
    with pytest.raises(ImageError) as caught:
        find_images(["b.jpg", entry])
    assert entry in str(caught.value)


def test_every_suffix_is_one_that_pillow_or_its_heif_plugin_knows() -> None:
    known = set(Image.registered_extensions()) | {".heic", ".heif"}
    assert known >= IMAGE_SUFFIXES


# Writing files


def test_write_atomic_moves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "mask.tar.PNG"
    with write_atomic(str(path)) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".PNG"
        assert not temporary.exists()
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_write_atomic_leaves_nothing_of_a_failure(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"before")

    def fail() -> None:
        with write_atomic(path) as temporary:
            temporary.write_bytes(b"par")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomic_gives_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with write_atomic(tmp_path / "atomic") as temporary:
        temporary.touch()
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_write_atomic_by_many_threads(tmp_path: Path) -> None:
    path = tmp_path / "same.bin"

    def write(number: int) -> None:
        with write_atomic(path) as temporary:
            temporary.write_bytes(bytes([number]) * 100_000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert len(set(path.read_bytes())) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["", "folder", os.devnull])
def test_write_atomic_replaces_only_files(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ImageError, match="is not a file"), write_atomic(path):
        pytest.fail("the body must not run")


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".webp"])
def test_save_rgba(tmp_path: Path, suffix: str) -> None:
    rgba = np.dstack([noise(), np.full((64, 64), 255, np.uint8)])
    rgba[:32] = 0
    for image in (rgba, Image.fromarray(rgba)):
        path = tmp_path / f"cut{suffix}"
        save_image(image, path)
        saved = Image.open(path)
        assert saved.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(saved)[..., 3], rgba[..., 3])
        if suffix != ".webp":
            np.testing.assert_array_equal(np.asarray(saved), rgba)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".bmp", ".ppm"])
def test_formats_without_alpha_refuse_rgba(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ImageError, match=rf"cut\{suffix}.*alpha"):
        save_image(np.zeros((4, 4, 4), np.uint8), tmp_path / f"cut{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".avif"])
def test_save_rgb(tmp_path: Path, suffix: str) -> None:
    smooth = cv2.GaussianBlur(noise(), (0, 0), 6)
    for image in (smooth, Image.fromarray(smooth), smooth[:, ::-1][:, ::-1]):
        save_image(image, tmp_path / f"photo{suffix}")
        pixels = load_image(tmp_path / f"photo{suffix}")
        assert np.abs(pixels.astype(int) - smooth).mean() < (
            1.5 if suffix in (".jpg", ".webp", ".avif") else 0.001
        )


def test_save_mask(tmp_path: Path) -> None:
    mask = noise()[..., 0] > 128
    for image in (mask, Image.fromarray(mask), mask * np.uint8(255)):
        save_image(image, tmp_path / "mask.png")
        saved = Image.open(tmp_path / "mask.png")
        assert saved.mode == "L"
        np.testing.assert_array_equal(np.asarray(saved), np.where(mask, 255, 0))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3), bool),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        Image.new("P", (2, 2)),
        Image.new("CMYK", (2, 2)),
    ],
)
def test_what_cannot_be_saved(tmp_path: Path, image: np.ndarray | Image.Image) -> None:
    with pytest.raises(ImageError, match="to be saved, got"):
        save_image(image, tmp_path / "image.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["image", "image.xyz", "image.psd"])
def test_suffixes_that_name_no_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match=f"{name}: no image format"):
        save_image(PHOTO, tmp_path / name)


def test_a_failing_encoder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16383"):
        save_image(np.zeros((1, 17_000, 3), np.uint8), tmp_path / "wide.webp")
    assert list(tmp_path.iterdir()) == []


# In memory


@pytest.mark.parametrize("name", ["a.png", "folder/A.PNG", "a.jpg", "a.webp", "a.tif"])
def test_encode_image_gives_the_bytes_that_are_saved(tmp_path: Path, name: str) -> None:
    encoded = encode_image(noise(), name)
    save_image(noise(), tmp_path / name)
    assert encoded == (tmp_path / name).read_bytes()
    assert load_image(encoded).shape == (64, 64, 3)


def test_encode_image_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mask = noise()[..., 0] > 128
    np.testing.assert_array_equal(load_image(encode_image(mask, "a.png"))[..., 0] > 127, mask)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (PHOTO, "a"),
        (PHOTO, "a.xyz"),
        (np.zeros((4, 4, 4), np.uint8), "a.jpg"),
        (PHOTO / 2, "a.png"),
    ],
)
def test_what_cannot_be_encoded(image: np.ndarray, name: str) -> None:
    with pytest.raises(ImageError):
        encode_image(image, name)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_the_resolution_is_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"hand{suffix}"
    pixels = np.zeros((4, 6, 3), np.uint8)
    save_image(pixels, path, (300, 150))
    with Image.open(path) as image:
        assert tuple(map(round, image.info["dpi"])) == (300, 150)
    across, down = read_image(path).dpi or (0, 0)
    assert (round(across), round(down)) == (300, 150)
    np.testing.assert_allclose(load_image(path), pixels)
    save_image(pixels, path)
    if suffix != ".bmp":  # which always has one
        assert read_image(path).dpi is None


def test_the_resolution_is_that_of_the_upright_photo() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", dpi=(300, 150), exif=exif)
    assert read_image(stream.getvalue()).dpi == (150, 300)
    for source in (PHOTO, encode_image(np.zeros((2, 2, 3), np.uint8), "a.png")):
        assert read_image(source).dpi is None
