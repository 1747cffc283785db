"""Compare a predicted mask with the true one: overlap and distances between contours.

A contour is the set of mask pixels with a 4-neighbour outside the mask; everything beyond the image
frame is outside. So where the frame cuts a hand, the pixels along the frame belong to its contour,
as they do for Octave's `bwperim`, the surface distances of MONAI and MedPy and the reference
implementation of boundary IoU (DAVIS leaves them out). A cut hand is judged as if the photo
continued with background, and a prediction that follows the frame gets credit for it.

If only one mask is empty, overlap and boundary scores are 0 and each distance is the image
diagonal, the largest distance possible. NaN would drop the photo from a mean, infinity would swamp
all other values, and neither is valid JSON. One miss still weighs heavily on a mean distance, so
read it together with the median and the number of misses. Two empty masks agree: scores 1,
distances 0.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from handseg.evaluation.counts import PixelCounts

BOUNDARY_IOU_WIDTH = 0.02
"""Width of boundary IoU's bands as a fraction of the image diagonal; the authors' default."""


@dataclass(frozen=True)
class MaskMetrics:
    """The metrics of one photo; distances in pixels and in per mille of the diagonal.

    Attributes:
        iou: Of the hand alone, 0..1.
        dice: Of the hand alone, 0..1.
        pixel_accuracy: Share of pixels labelled alike, background included, 0..1.
        boundary_f: F1 of boundary precision and recall at the requested tolerance, 0..1.
        background_boundary_f: The same for the background, whose contour includes the frame.
        boundary_iou: IoU of the bands along the inside of both contours, 0..1.
        mean_distance_px: Mean distance from each pixel of either contour to the other contour.
        hausdorff_95_px: The larger of the two directed 95th percentiles of those distances.
        mean_signed_distance_px: The mean of those distances, positive where the prediction reaches
            outside the truth and negative where it falls short: the bias of a contour that is too
            wide or too tight.
        mean_distance_per_mille: `mean_distance_px` / diagonal * 1000; likewise the next two.
        hausdorff_95_per_mille: See above.
        mean_signed_distance_per_mille: See above.
        mean_iou_with_background: Only to compare with papers that report it; not the hand's IoU.
        counts: The pixel counts behind the overlap metrics.
    """

    iou: float
    dice: float
    pixel_accuracy: float
    boundary_f: float
    background_boundary_f: float
    boundary_iou: float
    mean_distance_px: float
    hausdorff_95_px: float
    mean_signed_distance_px: float
    mean_distance_per_mille: float
    hausdorff_95_per_mille: float
    mean_signed_distance_per_mille: float
    mean_iou_with_background: float
    counts: PixelCounts

    @property
    def missed(self) -> bool:
        """Whether nothing was predicted although there is a hand."""
        counts = self.counts
        return counts.false_negatives > 0 and counts.true_positives + counts.false_positives == 0

    def as_dict(self) -> dict[str, float | int]:
        """Return all values by name as a flat table row, the four counts last."""
        values = asdict(self)
        counts = values.pop("counts")
        return values | counts


def compare_masks(
    prediction: np.ndarray, truth: np.ndarray, *, boundary_tolerance: float = 0.0075
) -> MaskMetrics:
    """Compare a predicted mask with the true one; see the module for frames and misses.

    Args:
        prediction: (H, W) bool.
        truth: (H, W) bool.
        boundary_tolerance: Largest distance at which contours match in `boundary_f`: below 1, a
            fraction of the image diagonal; from 1 on, pixels. A contour pixel matches when it is
            closer than this to the other contour (Csurka et al., BMVC 2013). The default is that
            of MATLAB's `bfscore`.

    Raises:
        ValueError: The masks are not bool, not (H, W), empty arrays or of different shapes, or the
            tolerance is not a positive number.
    """
    _check(prediction, truth, boundary_tolerance)
    diagonal = math.hypot(*truth.shape)
    tolerance = boundary_tolerance * (diagonal if boundary_tolerance < 1 else 1)
    counts = _count(prediction, truth)
    background_boundary_f = _background_boundary_f(prediction, truth, tolerance)
    predicted = counts.true_positives + counts.false_positives > 0
    present = counts.true_positives + counts.false_negatives > 0

    if predicted and present:
        prediction, truth = _crop_to_union(prediction, truth)
        boundary_iou = _boundary_iou(prediction, truth, diagonal)
        signed = _signed_distances(prediction, truth)
        boundary_f = _f1(signed, tolerance)
        mean_signed = float(np.concatenate(signed).mean())
        mean = float(np.abs(np.concatenate(signed)).mean())
        hausdorff = max(float(np.percentile(np.abs(side), 95)) for side in signed)
    elif predicted or present:
        boundary_f = boundary_iou = 0.0
        mean = hausdorff = diagonal
        mean_signed = diagonal if predicted else -diagonal
    else:
        boundary_f = boundary_iou = 1.0
        mean = hausdorff = mean_signed = 0.0

    per_mille = 1000 / diagonal
    return MaskMetrics(
        iou=counts.iou,
        dice=counts.dice,
        pixel_accuracy=counts.pixel_accuracy,
        boundary_f=boundary_f,
        background_boundary_f=background_boundary_f,
        boundary_iou=boundary_iou,
        mean_distance_px=mean,
        hausdorff_95_px=hausdorff,
        mean_signed_distance_px=mean_signed,
        mean_distance_per_mille=mean * per_mille,
        hausdorff_95_per_mille=hausdorff * per_mille,
        mean_signed_distance_per_mille=mean_signed * per_mille,
        mean_iou_with_background=counts.mean_iou_with_background,
        counts=counts,
    )


def outward_distances(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return how far the contour of `prediction` lies outside that of `truth`, px, (N,) float64.

    One value per contour pixel of either mask, negative where the prediction falls short. Both
    masks are (H, W) bool with at least one pixel.
    """
    return np.concatenate(_signed_distances(*_crop_to_union(prediction, truth)))


def _f1(distances: tuple[np.ndarray, np.ndarray], tolerance: float) -> float:
    """Return F1 of boundary precision and recall: shares of contours closer than `tolerance` px."""
    precision, recall = (float(np.mean(np.abs(side) < tolerance)) for side in distances)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _background_boundary_f(prediction: np.ndarray, truth: np.ndarray, tolerance: float) -> float:
    predicted, present = not prediction.all(), not truth.all()
    if predicted and present:
        return _f1(_signed_distances(~prediction, ~truth), tolerance)
    return float(predicted == present)


def _check(prediction: np.ndarray, truth: np.ndarray, boundary_tolerance: float) -> None:
    got = f"got {prediction.shape} {prediction.dtype} and {truth.shape} {truth.dtype}"
    if prediction.shape != truth.shape or truth.ndim != 2 or truth.size == 0:
        raise ValueError(f"prediction and truth must be masks of one shape (H, W), {got}")
    if prediction.dtype != bool or truth.dtype != bool:
        raise ValueError(f"prediction and truth must be bool, {got}")
    if not (math.isfinite(boundary_tolerance) and boundary_tolerance > 0):
        raise ValueError(f"boundary_tolerance must be a positive number, got {boundary_tolerance}")


def _count(prediction: np.ndarray, truth: np.ndarray) -> PixelCounts:
    both = int(np.count_nonzero(prediction & truth))
    false_positives = int(np.count_nonzero(prediction)) - both
    false_negatives = int(np.count_nonzero(truth)) - both
    rest = truth.size - both - false_positives - false_negatives
    return PixelCounts(both, false_positives, false_negatives, rest)


def _crop_to_union(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crop both masks to their common bounding box, which is enough for contours and bands."""
    x, y, width, height = cv2.boundingRect((prediction | truth).view(np.uint8))
    box = slice(y, y + height), slice(x, x + width)
    return prediction[box], truth[box]


def _rim(mask: np.ndarray, shape: int, width: int) -> np.ndarray:
    """Return the pixels of `mask` that `width` erosions with a 3 x 3 kernel of `shape` remove."""
    inner = cv2.erode(
        mask.astype(np.uint8),
        cv2.getStructuringElement(shape, (3, 3)),
        iterations=width,
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return mask & (inner == 0)


def _boundary_iou(prediction: np.ndarray, truth: np.ndarray, diagonal: float) -> float:
    """Compute boundary IoU (Cheng et al., CVPR 2021); both masks have at least one pixel."""
    width = max(1, round(BOUNDARY_IOU_WIDTH * diagonal))
    first, second = (_rim(mask, cv2.MORPH_RECT, width) for mask in (prediction, truth))
    return int(np.count_nonzero(first & second)) / int(np.count_nonzero(first | second))


def _signed_distances(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure distances (px) from the prediction's contour pixels to the true contour, and back.

    Positive where the prediction reaches outside the truth, negative where it falls short.
    """
    predicted_rim, true_rim = (_rim(mask, cv2.MORPH_CROSS, 1) for mask in (prediction, truth))
    from_prediction = _distances(predicted_rim, true_rim)
    from_truth = _distances(true_rim, predicted_rim)
    return (
        np.where(truth[predicted_rim], -from_prediction, from_prediction),
        np.where(prediction[true_rim], from_truth, -from_truth),
    )


def _distances(start: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Measure the distance from each pixel of `start` to the nearest of `target`, px, float64."""
    field = cv2.distanceTransform((~target).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squared distances between pixels are integers; float32 is slightly off for some of them, which
    # would decide whether a pixel exactly at the tolerance matches.
    return np.sqrt(np.rint(np.square(field[start], dtype=np.float64)))
