"""Arrays and tensors as images."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from image_bytes import PHOTO, encode, refuse
from PIL import Image

from handseg.io.images import load_image


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0.0, 1.0, 0.5]]), [0, 255, 128]),
        (np.array([[0, 1, 0.2]], np.float16), [0, 255, 51]),
        (np.array([[-5e-5, 1.00005]], np.float32), [0, 255]),
        (np.array([[0, 65535, 257]], np.uint16), [0, 255, 1]),
        (np.array([[0, 255, 7]], np.int64), [0, 255, 7]),
        (np.array([[0, 127]], np.int8), [0, 127]),
    ],
)
def test_array_values(array: Any, expected: list[int]) -> None:
    for values in (array, array[..., None], np.repeat(array[..., None], 3, axis=2)):
        np.testing.assert_array_equal(
            load_image(values), np.array(expected)[None, :, None].repeat(3, 2)
        )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.1, 1.01, 255.0])
def test_floats_out_of_range_are_refused(dtype: type, value: float) -> None:
    array: np.ndarray = np.full((4, 5, 3), 0.5, dtype)
    array[2, 3, 1] = value
    refuse(array, rf"the array has {np.dtype(dtype)} values from .*, expected 0\.\.1")


@pytest.mark.parametrize("value", [-1, 256])
def test_integers_out_of_range_are_refused(value: int) -> None:
    refuse(np.full((2, 2), value), rf"from {value} to {value}, expected 0\.\.255")


@pytest.mark.parametrize("dtype", ["complex64", "U3", "object", "datetime64[s]"])
def test_dtypes_that_are_no_pixels(dtype: str) -> None:
    refuse(np.zeros((2, 2), dtype), "must hold integers, floats or bools, got")


@pytest.mark.parametrize("shape", [(), (5,), (5, 5, 2), (5, 5, 5), (1, 1, 1, 5, 5)])
def test_array_shapes_that_are_refused(shape: tuple[int, ...]) -> None:
    refuse(np.zeros(shape, np.uint8), r"must be \(H, W\).*got \(" + ", ".join(map(str, shape)))


def test_arrays_with_a_better_hint() -> None:
    refuse(np.zeros((1, 5, 5, 3), np.uint8), "batch of images.*one by one")
    refuse(np.zeros((3, 5, 6), np.uint8), "channels come last")


def test_channel_order() -> None:
    torch = pytest.importorskip("torch")
    bgr, alpha = PHOTO[..., ::-1], np.full((2, 3, 1), 9, np.uint8)
    chw = torch.from_numpy(bgr.copy()).permute(2, 0, 1)
    for source in (bgr, np.concatenate([bgr, alpha], axis=2), chw):
        np.testing.assert_array_equal(load_image(source, channel_order="bgr"), PHOTO)
    for known in (encode(PHOTO), Image.fromarray(PHOTO)):
        np.testing.assert_array_equal(load_image(known, channel_order="bgr"), PHOTO)
    with pytest.raises(ValueError, match=r"channel_order.*'rbg'"):
        load_image(PHOTO, channel_order="rbg")  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6).map(lambda s: (*s[:2], 3))
    )
)
def test_pixels_survive_every_range_and_a_file(pixels: np.ndarray) -> None:
    ranges = (
        pixels,
        pixels / 255,
        (pixels / 255).astype(np.float32),
        pixels.astype(np.uint16) * 257,
    )
    for source in (*ranges, pixels.astype(int), encode(pixels), encode(pixels, "TIFF")):
        np.testing.assert_array_equal(load_image(source), pixels)


def test_tensor_shapes_and_values() -> None:
    torch = pytest.importorskip("torch")
    chw = torch.from_numpy(PHOTO).permute(2, 0, 1)
    alpha = torch.zeros(1, 2, 3, dtype=torch.uint8)
    same = [chw / 255, chw.to(torch.uint16) * 257, chw.long(), torch.cat([chw, alpha])]
    for tensor in (*same, (chw / 255).requires_grad_()):
        np.testing.assert_array_equal(load_image(tensor), PHOTO)
    np.testing.assert_allclose(load_image((chw / 255).bfloat16()).astype(int), PHOTO, atol=1)
    grey = torch.tensor([[0, 255, 3]], dtype=torch.uint8)
    for tensor in (grey, grey[None]):
        np.testing.assert_array_equal(load_image(tensor), grey.numpy()[..., None].repeat(3, 2))
    np.testing.assert_array_equal(load_image(grey > 100)[0, :, 0], [0, 255, 0])

    refuse(chw[None], "the tensor is a batch of images")
    refuse(torch.zeros(5, 6, 3), r"the tensor must be .*\(3, H, W\).*got \(5, 6, 3\)")
    refuse(torch.zeros(5), r"the tensor must be .*got \(5,\)")
    refuse(torch.zeros(3, 0, 4), "the tensor is empty")
    refuse(chw / 127.5 - 1, "the tensor has float32 values from -1.0 to 1.0, expected 0..1")
    refuse(torch.full((3, 2, 2), torch.nan), "from nan to nan")


@pytest.mark.gpu
def test_tensors_on_a_gpu() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    tensor = torch.from_numpy(PHOTO).permute(2, 0, 1).cuda()
    np.testing.assert_array_equal(load_image(tensor), PHOTO)


def test_torch_is_not_imported() -> None:
    code = (
        "import sys, numpy as np; from handseg.io.images import load_image; "
        "load_image(np.zeros((2, 2), np.uint8)); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
