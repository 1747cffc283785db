"""The result of a segmentation: the hands in a photo, and ways to export them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypeAlias, get_args, overload

import cv2
import numpy as np
from PIL import Image, ImageShow

from handseg.errors import ImageError
from handseg.io.files import save_image
from handseg.io.images import ImageSource
from handseg.postprocess import matting
from handseg.results import formats, overlay
from handseg.results.hand import Hand, grown, kind, paint, to_float, window

if TYPE_CHECKING:
    from supervision import Detections

Edge: TypeAlias = Literal["soft", "hard", "matte"]
EDGES: tuple[str, ...] = get_args(Edge)

_PREVIEW = 1024  # px, the longer side of the picture in a notebook


@dataclass(frozen=True, eq=False)
class HandSegmentation:
    """The hands found in one photo; a result without hands is valid, and falsy.

    It is a sequence of its hands: `result[0]` is the first `Hand`, `result[:2]` a tuple of `Hand`,
    and `len` and `for` work, too.

    Attributes:
        image: (H, W, 3) uint8 RGB, the photo.
        hands: one `Hand` per hand, all for a photo of this size.
        dpi: the photo's resolution, px per inch, horizontally and vertically; None if the file has
            none.

    Raises:
        ValueError: if `image` is not an RGB photo or a hand is for a photo of another size.
    """

    image: np.ndarray
    hands: tuple[Hand, ...] = ()
    dpi: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8 RGB, got {kind(self.image)}")
        object.__setattr__(self, "hands", tuple(self.hands))
        for index, hand in enumerate(self.hands):
            if tuple(hand.image_shape) != self.image.shape[:2]:
                raise ValueError(
                    f"hands[{index}] must be of a photo of shape {self.image.shape[:2]}, "
                    f"got {tuple(hand.image_shape)}"
                )

    def __len__(self) -> int:
        return len(self.hands)

    def __iter__(self) -> Iterator[Hand]:
        return iter(self.hands)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Hand: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Hand, ...]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Hand | tuple[Hand, ...]:
        return self.hands[index]

    def __str__(self) -> str:
        """Number of hands, size of the photo, and each hand's handedness with its score."""
        height, width = self.image.shape[:2]
        head = f"{len(self)} hand{'' if len(self) == 1 else 's'}, {width} x {height}"
        return ": ".join(filter(None, (head, ", ".join(map(_side, self.hands)))))

    def __repr__(self) -> str:
        return f"<HandSegmentation: {self}>"

    @property
    def alpha(self) -> np.ndarray:
        """(H, W) float32 in 0..1: the largest alpha of any hand."""
        patch, offset = self._merged()
        return paint(to_float(patch), offset, self.image.shape[:2])

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: the union of all hands."""
        patch, offset = self._merged()
        return paint(patch >= 128, offset, self.image.shape[:2])

    @property
    def object_mask(self) -> np.ndarray | None:
        """(H, W) bool: the union of all held objects; None if objects were not requested."""
        mask = np.zeros(self.image.shape[:2], bool)
        for hand in self.hands:
            if hand.object_patch is None:
                return None
            mask[window(hand.object_patch, hand.object_offset)] |= hand.object_patch >= 128
        return mask

    def cutout(self, crop: bool = False, edge: Edge = "soft") -> Image.Image:
        """Render the hands on a transparent background, RGBA, alpha not premultiplied.

        Fully transparent pixels are black, so nothing else of the photo remains in the picture.

        Args:
            crop: crop the picture to the hands and their soft edge (if there are any).
            edge: "soft" uses `alpha` as transparency; "hard" uses `mask`, so each pixel is opaque
                or transparent; "matte" estimates transparency from the photo and is as soft as the
                edge there (out of focus, moving, hairy). With "soft" and "matte", colours along
                the edge are those of the hand, without the old background; see
                `handseg.postprocess.matting`.

        Raises:
            ValueError: if `edge` is unknown.
            TypeError: if `crop` is a path: `save` writes files.
        """
        if isinstance(crop, str | os.PathLike):
            raise TypeError(f"crop must be True or False, got {crop!r}: use save to write a file")
        patch, (x, y), photo = self._edged(edge)
        if not patch.size:
            return Image.new("RGBA", self.image.shape[1::-1])
        picture = np.zeros((*(patch if crop else self.image).shape[:2], 4), np.uint8)
        part = picture if crop else picture[window(patch, (x, y))]
        hands = cv2.copyTo(photo, patch)  # 0 where alpha is 0
        cv2.cvtColor(hands, cv2.COLOR_RGB2RGBA, part)
        cv2.insertChannel(patch, part, 3)
        return Image.fromarray(picture)

    def composite(
        self,
        background: ImageSource | tuple[int, int, int] | list[int],
        edge: Edge = "soft",
        crop: bool = False,
    ) -> Image.Image:
        """Render the hands in front of another background, RGB, as large as the photo.

        Args:
            background: a colour (CSS name, "#rrggbb", three integers in 0..255), or anything that
                `load_image` takes, resized and cropped around its centre to cover the photo. A
                string that names a colour is never treated as a file; pass a `Path` instead.
            edge: "soft", "hard" or "matte", as in `cutout`.
            crop: crop the picture to the hands, as in `cutout`.

        Raises:
            ValueError: if `background` is neither a colour nor a picture, or `edge` is unknown.
        """
        patch, (x, y), photo = self._edged(edge)
        picture = overlay.backdrop(background, *self.image.shape[:2])
        if patch.size:
            picture.paste(Image.fromarray(photo), (x, y), Image.fromarray(patch))
            if crop:
                height, width = patch.shape
                return picture.crop((x, y, x + width, y + height))
        return picture

    def overlay(
        self,
        color: str | Sequence[int] | None = None,
        landmarks: bool = True,
        opacity: float = 0.45,
    ) -> Image.Image:
        """Draw each hand's mask, outline, box, landmarks and predicted IoU on the photo, RGB.

        Held objects, if requested, have their own colour.

        Args:
            color: colour of all hands (CSS name, "#rrggbb" or three integers); None gives each
                hand its own.
            landmarks: whether to draw joints and bones.
            opacity: opacity of the masks, 0..1.
        """
        if not 0 <= opacity <= 1:
            raise ValueError(f"opacity must be in 0..1, got {opacity}")
        every = None if color is None else overlay.parse_color(color, "color")
        return overlay.overlay(self.image, self.hands, every, landmarks, opacity)

    def contours(self) -> list[list[np.ndarray]]:
        """Trace `Hand.contours` of every hand, in order."""
        return [hand.contours() for hand in self.hands]

    def outline_svg(self) -> str:
        """Return the hands' outlines as an SVG file of the photo's size, one filled path per hand.

        The paths are `contours()`, with the holes left open. One unit is a pixel, and 0, 0 the
        outer corner of the first one, so outlines and photo match if they have the same origin.
        """
        return formats.outline_svg(self.image.shape[:2], self.hands)

    def to_coco(
        self, image_id: int = 0, first_annotation_id: int = 1, file_name: str | None = None
    ) -> dict[str, Any]:
        """Export the photo's entry and its annotations for a COCO file, ready for `json.dump`.

        Masks are compressed RLE with `counts` as str; boxes are x, y, width, height in whole
        pixels. Keypoints inside the photo are marked visible (2), all others labelled only (1).
        `score` is `predicted_iou`. Hands are category 1. Held objects follow after all hands as
        category 2, without keypoints and scores; `held_by` is the id of the hand's annotation.

        Returns:
            `image`, a dict, and `annotations`, a list of dicts.
        """
        return formats.coco(
            self.image.shape[:2], self.hands, image_id, first_annotation_id, file_name
        )

    def to_supervision(self) -> Detections:
        """Convert to `supervision.Detections`, with `predicted_iou` as the confidence.

        `data["handedness"]` holds "left", "right" or "" for each.

        Raises:
            ImportError: if the optional package supervision is missing.
        """
        return formats.detections(self.hands)

    def to_dict(self) -> dict[str, Any]:
        """Export boxes, landmarks and scores, without pixels, ready for `json.dump`; in px.

        If held objects were requested, each hand's `object` has `area` and `box`, or is None if
        the hand holds nothing.
        """
        return formats.numbers(self.image.shape[:2], self.hands)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the cut-out to `path`, in the format given by its suffix; the write is atomic.

        The file keeps the photo's resolution (dpi) but no EXIF data.

        Raises:
            ImageError: if the format has no transparency (JPEG, BMP), or is unknown.
        """
        save_image(self.cutout(), path, self.dpi)

    def show(self) -> None:
        """Open the overlay in the system's image viewer; in a notebook, display it there.

        Raises:
            ImageError: if there is no viewer.
        """
        if not ImageShow.show(self.overlay(), "handseg"):
            raise ImageError("no image viewer found; use overlay().save(...) to write a file")

    def _repr_png_(self) -> bytes:
        picture = self.overlay()
        picture.thumbnail((_PREVIEW, _PREVIEW))
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        return stream.getvalue()

    def _edged(self, edge: str) -> tuple[np.ndarray, tuple[int, int], np.ndarray]:
        """Alpha with the requested edge, its x, y in the photo, and the colours there."""
        if edge not in EDGES:
            raise ValueError(f"edge must be {' or '.join(map(repr, EDGES))}, got {edge!r}")
        patch, offset = self._merged()
        reach = matting.matte_reach(patch.shape)
        if edge == "matte" and patch.size:
            patch, offset = grown(patch, offset, self.image.shape[:2], reach)
        photo = self.image[window(patch, offset)]
        if edge == "hard" or not patch.size:
            return (patch >= 128) * np.uint8(255), offset, photo
        if edge == "matte":
            patch = matting.matte(photo, patch, reach)
        return patch, offset, matting.hand_colors(photo, patch)

    def _merged(self) -> tuple[np.ndarray, tuple[int, int]]:
        """The alpha of all hands, (h, w) uint8 in the smallest box around them, and its x, y."""
        hands = [hand for hand in self.hands if hand.patch.size]
        if len(hands) == 1:
            return hands[0].patch, hands[0].offset
        if not hands:
            return np.zeros((0, 0), np.uint8), (0, 0)
        first = np.array([hand.offset for hand in hands])
        last = first + [hand.patch.shape[::-1] for hand in hands]
        x, y = first.min(axis=0).tolist()
        right, bottom = last.max(axis=0).tolist()
        merged = np.zeros((bottom - y, right - x), np.uint8)
        for hand in hands:
            rows, columns = window(hand.patch, (hand.offset[0] - x, hand.offset[1] - y))
            np.maximum(merged[rows, columns], hand.patch, out=merged[rows, columns])
        return merged, (x, y)


def _side(hand: Hand) -> str:
    if hand.handedness is None or hand.handedness_score is None:
        return hand.handedness or "hand"
    return f"{hand.handedness} {hand.handedness_score:.2f}"
