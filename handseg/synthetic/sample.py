"""A training sample of a promptable model: a region of interest, its truth and its prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from handseg.landmarks.anatomy import draw_skeleton
from handseg.models.region import Region
from handseg.prompts import IGNORED, HandPrompts

if TYPE_CHECKING:
    import torch

_NO_SKELETON = -6.0  # The logit that `draw_skeleton` gives pixels off the bones.


@dataclass(frozen=True, eq=False)
class Sample:
    """One region of interest with its truth and prompts, all in pixels of the region.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        alpha: (S, S) float32 0..1, the hand.
        valid: (S, S) bool, False outside the photo's frame.
        points, labels: as in `PromptBatch`, one row.
        box: (4,) float32 xyxy.
        skeleton: (S / 4, S / 4) float32 logits.
    """

    image: np.ndarray
    alpha: np.ndarray
    valid: np.ndarray
    points: np.ndarray
    labels: np.ndarray
    box: np.ndarray
    skeleton: np.ndarray

    @classmethod
    def of_region(
        cls,
        image: np.ndarray,
        alpha: np.ndarray,
        valid: np.ndarray,
        prompts: HandPrompts,
        region: Region,
    ) -> Sample:
        """Make a sample of `region` from `prompts` in pixels of the photo."""
        size = image.shape[0]
        points = region.to_crop(prompts.points, size)
        points[prompts.labels == IGNORED] = 0
        box = region.to_crop(prompts.roi_box.reshape(2, 2), size).reshape(4)
        skeleton = np.full((size // 4, size // 4), _NO_SKELETON, np.float32)
        if prompts.landmarks is not None:
            skeleton = draw_skeleton(region.to_crop(prompts.landmarks, size // 4), size // 4)
        truth = (alpha * valid).astype(np.float32)
        return cls(image, truth, valid, points, prompts.labels, box, skeleton)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the inputs of a training step; the truth is scaled to half the image's side."""
        import torch

        half = (self.image.shape[0] // 2,) * 2
        target = cv2.resize(self.alpha, half, interpolation=cv2.INTER_AREA)
        valid = cv2.resize(self.valid.astype(np.float32), half, interpolation=cv2.INTER_AREA)
        return {
            "image": torch.from_numpy(self.image),
            "target": torch.from_numpy(target),
            "valid": torch.from_numpy(np.floor(valid)),
            "points": torch.from_numpy(self.points)[None],
            "labels": torch.from_numpy(self.labels)[None],
            "box": torch.from_numpy(self.box)[None],
            "skeleton": torch.from_numpy(self.skeleton)[None],
        }
