"""One hand in a photo: its alpha, cropped to the hand, and everything known about it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from handseg.postprocess.outline import trace


@dataclass(frozen=True, eq=False)
class Hand:
    """One hand in a photo; create it with `Hand.from_alpha`.

    Only the part of the alpha around the hand is stored, with one byte per pixel. `mask` and
    `alpha` are computed at every access: keep the array if you need it more than once.

    Attributes:
        patch: (h, w) uint8, the alpha around the hand, 255 where a pixel is fully hand.
        offset: x, y of the first pixel of `patch` in the photo.
        image_shape: height, width of the photo.
        box: (4,) float32 xyxy px, from the centre of the mask's first column and row to that of
            its last; if the mask is empty, the box that prompted the model.
        landmarks: (21, 2) float32 x, y px in MediaPipe's order, which may lie outside the photo;
            None if the user gave other prompts, or only the hand finder saw the hand.
        handedness: "left" or "right"; None for user prompts.
        handedness_score: confidence in `handedness`, 0..1; None for user prompts.
        detection_score: the hand finder's confidence that there is a hand, 0..1; None for user
            prompts or without the finder.
        predicted_iou: the model's own estimate of the mask's IoU.
        object_patch: (h, w) uint8, alpha of the held object, stored like `patch`; of size 0 if the
            hand holds nothing, None if objects were not requested.
        object_offset: x, y of the first pixel of `object_patch` in the photo.

    Raises:
        ValueError: if the fields are inconsistent.
    """

    patch: np.ndarray
    offset: tuple[int, int]
    image_shape: tuple[int, int]
    box: np.ndarray
    predicted_iou: float
    landmarks: np.ndarray | None = None
    handedness: str | None = None
    handedness_score: float | None = None
    detection_score: float | None = None
    object_patch: np.ndarray | None = None
    object_offset: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self._check_patch("patch", self.patch, self.offset)
        if self.object_patch is not None:
            self._check_patch("object_patch", self.object_patch, self.object_offset)
        box = np.asarray(self.box)
        if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] < box[:2]).any():
            raise ValueError(f"box must be four finite numbers, x0 y0 x1 y1, got {self.box}")
        points = self.landmarks
        if points is not None and (points.shape != (21, 2) or not np.isfinite(points).all()):
            raise ValueError(f"landmarks must be (21, 2) and finite, got {kind(points)}")
        if self.handedness not in ("left", "right", None):
            raise ValueError(f'handedness must be "left", "right" or None, got {self.handedness!r}')
        for name in ("predicted_iou", "handedness_score", "detection_score"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value):
                raise ValueError(f"{name} must be finite, got {value}")

    def _check_patch(self, name: str, patch: np.ndarray, offset: tuple[int, int]) -> None:
        if patch.ndim != 2 or patch.dtype != np.uint8:
            raise ValueError(f"{name} must be (h, w) uint8, got {kind(patch)}")
        (x, y), (height, width) = offset, self.image_shape
        right, bottom = x + patch.shape[1], y + patch.shape[0]
        if x < 0 or y < 0 or right > width or bottom > height:
            raise ValueError(
                f"{name} must lie in the photo of {width} x {height} px, "
                f"got x {x} to {right}, y {y} to {bottom}"
            )

    @classmethod
    def from_alpha(
        cls,
        alpha: np.ndarray,
        offset: tuple[int, int],
        image_shape: tuple[int, int],
        *,
        prompt_box: np.ndarray,
        predicted_iou: float,
        landmarks: np.ndarray | None = None,
        handedness: str | None = None,
        handedness_score: float | None = None,
        detection_score: float | None = None,
    ) -> Hand:
        """Create a hand from an alpha, cropped to the part where it is not 0.

        Args:
            alpha: (h, w), bool, uint8 in 0..255 or floating in 0..1, for a part of the photo; it
                may extend beyond the photo.
            offset: x, y of the first pixel of `alpha` in the photo; may be negative.
            image_shape: height, width of the photo.
            prompt_box: (4,) xyxy px, used as `box` if no pixel's alpha reaches one half.
            predicted_iou: the model's estimate of the mask's IoU.
            landmarks: (21, 2) x, y px, if there are any.
            handedness: "left", "right" or None.
            handedness_score: confidence in `handedness`, 0..1.
            detection_score: confidence that there is a hand, 0..1, or None.

        Raises:
            ValueError: if an array has a wrong shape, type or range.
        """
        if alpha.ndim != 2:
            raise ValueError(f"alpha must be (h, w), got {kind(alpha)}")
        patch, (x, y) = shrink_to_photo(alpha, offset, image_shape)
        box = np.asarray(prompt_box, np.float32)
        left, top, width, height = _extent((patch >= 128).view(np.uint8))
        if width:
            left, top = x + left, y + top
            box = np.array([left, top, left + width - 1, top + height - 1], np.float32)
        if landmarks is not None:
            landmarks = np.array(landmarks, np.float32)  # Callers may change theirs.
        return cls(
            patch,
            (x, y),
            image_shape,
            box,
            float(predicted_iou),
            landmarks,
            handedness,
            handedness_score,
            detection_score,
        )

    @property
    def alpha(self) -> np.ndarray:
        """(H, W) float32 in 0..1 for the whole photo."""
        return paint(to_float(self.patch), self.offset, self.image_shape)

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool for the whole photo: where alpha is at least one half."""
        return paint(self.patch >= 128, self.offset, self.image_shape)

    @property
    def object_mask(self) -> np.ndarray | None:
        """(H, W) bool, the held object; None if objects were not requested."""
        if self.object_patch is None:
            return None
        return paint(self.object_patch >= 128, self.object_offset, self.image_shape)

    @property
    def area(self) -> int:
        """The number of pixels in the mask."""
        return int(np.count_nonzero(self.patch >= 128))

    def contours(self) -> list[np.ndarray]:
        """Trace the outlines of the hand and of its holes with subpixel accuracy.

        They run where alpha crosses one half. If alpha is the fraction of a pixel that the hand
        covers, they are off by 0.05 px (root mean square) and at most 0.1 px; for a hard mask they
        run half-way between pixels inside and outside, off by 0.24 px.

        Returns:
            Closed polygons, (N, 2) float32 x, y in px of the photo, without repeating the first
            point; the one with the largest area comes first. Seen on the photo, outer outlines run
            counter-clockwise and the outlines of holes clockwise. Empty for an empty mask.
        """
        return [polygon + np.array(self.offset, np.float32) for polygon in trace(self.patch)]


def shrink_to_photo(
    alpha: np.ndarray, offset: tuple[int, int], shape: tuple[int, ...]
) -> tuple[np.ndarray, tuple[int, int]]:
    """Crop `alpha` to a photo of `shape` and its nonzero part; return it as uint8 with its x, y."""
    x, y = max(0, offset[0]), max(0, offset[1])
    rows = slice(y - offset[1], max(0, shape[0] - offset[1]))
    columns = slice(x - offset[0], max(0, shape[1] - offset[0]))
    patch = _to_uint8(alpha[rows, columns])
    left, top, width, height = _extent(patch)
    patch = patch[top : top + height, left : left + width].copy()
    return patch, ((x + left, y + top) if patch.size else (0, 0))


def window(patch: np.ndarray, offset: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the photo under `patch`, whose first pixel is at `offset` x, y."""
    x, y = offset
    return slice(y, y + patch.shape[0]), slice(x, x + patch.shape[1])


def paint(patch: np.ndarray, offset: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """Place `patch` (h, w, ...) at `offset` x, y on an empty picture of `shape` (height, width)."""
    canvas = np.zeros((*shape, *patch.shape[2:]), patch.dtype)
    canvas[window(patch, offset)] = patch
    return canvas


def grown(
    patch: np.ndarray, offset: tuple[int, int], shape: tuple[int, ...], by: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """Pad `patch` with `by` px of 0, within the photo of `shape`; also return its x, y."""
    (x, y), (height, width) = offset, shape
    left, top = min(by, x), min(by, y)
    right = min(by, width - x - patch.shape[1])
    bottom = min(by, height - y - patch.shape[0])
    wide = cv2.copyMakeBorder(patch, top, bottom, left, right, cv2.BORDER_CONSTANT)
    return wide, (x - left, y - top)


def to_float(patch: np.ndarray) -> np.ndarray:
    """Convert uint8 alpha to float32 in 0..1."""
    return np.divide(patch, 255, dtype=np.float32)


def _extent(patch: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width and height of the nonzero part of a uint8 `patch`; all 0 if there is none."""
    x, y, width, height = cv2.boundingRect(patch) if patch.size else (0, 0, 0, 0)
    return x, y, width, height


def _to_uint8(alpha: np.ndarray) -> np.ndarray:
    if alpha.dtype == np.uint8:
        return alpha
    if alpha.dtype == bool:
        return alpha.view(np.uint8) * np.uint8(255)
    if alpha.dtype.kind != "f":
        raise ValueError(f"alpha must be bool, uint8 or floating, got {alpha.dtype}")
    if alpha.size and not (alpha.min() >= 0 and alpha.max() <= 1):
        raise ValueError(f"alpha must be in 0..1, got {alpha.min()} to {alpha.max()}")
    return np.rint(alpha.astype(np.float32, copy=False) * np.float32(255)).astype(np.uint8)


def kind(array: np.ndarray) -> str:
    """Shape and dtype, for messages."""
    return f"{array.shape} {array.dtype}"
