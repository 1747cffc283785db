"""Prompts from the caller, instead of or in addition to MediaPipe's landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from handseg.landmarks import HandBox
from handseg.landmarks.anatomy import hand_size
from handseg.prompts.batch import POSITIVE
from handseg.prompts.recipe import HandPrompts, PromptRecipe

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class UserPrompts(TypedDict, total=False):
    """Prompts from the caller.

    Attributes:
        boxes: (K, 4) or (4,), xyxy in px: one hand per box.
        points: (K, P, 2) or (P, 2), x, y in px: P points per hand. With boxes or landmarks, K must
            match theirs. Without them, the model looks at the hand finder's box at the first
            positive point, even if the finder is unsure. If there is no box, or with
            `finder=False`, it looks at the whole photo.
        labels: (K, P) or (P,), 1 for a point on the hand and 0 for one off it; None means that all
            points are on the hand.
        landmarks: (K, 21, 2) or (21, 2), x, y in px, in MediaPipe's order.
    """

    boxes: ArrayLike | None
    points: ArrayLike | None
    labels: ArrayLike | None
    landmarks: ArrayLike | None


def user_prompts(
    height: int,
    width: int,
    recipe: PromptRecipe,
    *,
    boxes: ArrayLike | None = None,
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    landmarks: ArrayLike | None = None,
    places: Sequence[HandBox] = (),
) -> list[HandPrompts]:
    """Make the prompts of each hand from the caller's, in a photo of `height` x `width` px.

    For the arguments, see `UserPrompts`. Empty boxes or landmarks, as from a detector that finds no
    hand, give no prompts. A hand with only points lies in the first of `places` that contains its
    first positive point.

    Raises:
        ValueError: if prompts have wrong shapes, are not finite or lie outside the photo.
    """
    if labels is not None and points is None:
        raise ValueError("labels need points")
    if boxes is not None and landmarks is not None:
        raise ValueError("give boxes or landmarks, not both: each defines the hands by itself")
    frame = np.array([width - 1, height - 1] * 2, np.float32)
    clicks = None if points is None else _array("points", points, (-1, 2))
    hands: list[HandPrompts]
    if landmarks is not None:
        marks = _hands("landmarks", landmarks, (21, 2))
        hands = [recipe.prompts(one, height, width) for one in marks]
    elif boxes is not None:
        hands = []
        for box in _hands("boxes", boxes, (4,)):
            clipped = np.clip(box, 0, frame)
            if (clipped[2:] - clipped[:2] < 1).any():
                raise ValueError(
                    f"boxes must be xyxy with x1 > x0, y1 > y0 in the photo of {width} x {height} "
                    f"px, got {box.tolist()}"
                )
            none = np.zeros((0, 2), np.float32), np.zeros(0, np.int64)
            hands.append(HandPrompts(*none, clipped, clipped))
    elif clicks is not None:
        pairs = zip(clicks, _labels(labels, clicks.shape[:2]), strict=True)
        hands = [_around(own[tag == POSITIVE], places, recipe, height, width) for own, tag in pairs]
    else:
        raise ValueError("give boxes, points or landmarks")
    if clicks is None:
        return hands
    if len(clicks) != len(hands):
        raise ValueError(f"points must be for {len(hands)} hands, got {len(clicks)} sets")
    if ((clicks < 0) | (clicks > frame[:2])).any():
        raise ValueError(f"points must lie in the photo of {width} x {height} px")
    tags = _labels(labels, clicks.shape[:2])
    return [
        _with_clicks(hand, own, tag, recipe, frame)
        for hand, own, tag in zip(hands, clicks, tags, strict=True)
    ]


def _around(
    on_it: np.ndarray, places: Sequence[HandBox], recipe: PromptRecipe, height: int, width: int
) -> HandPrompts:
    """Make the region of a hand from its points, which show its position but not its size.

    The model looks at the place that contains the first point, or at the whole photo.
    """
    for place in places if len(on_it) else ():
        if (on_it[0] >= place.box[:2]).all() and (on_it[0] <= place.box[2:]).all():
            with suppress(ValueError):  # Less than a pixel of it may be in the photo.
                return recipe.box_prompts(place.box, place.wrist, height, width)
    whole = np.array([0, 0, width - 1, height - 1], np.float32)
    return HandPrompts(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), None, whole)


def _with_clicks(
    hand: HandPrompts,
    points: np.ndarray,
    labels: np.ndarray,
    recipe: PromptRecipe,
    frame: np.ndarray,
) -> HandPrompts:
    """Add points to `hand`; its region grows to contain the positive ones."""
    roi_box, on_it = hand.roi_box, points[labels == POSITIVE]
    # The same margin as around landmarks, because a finger is wider than a point on it. A click
    # within that margin is already in the region, which extends beyond the box.
    reach = 0.0 if hand.landmarks is None else recipe.box_reach * hand_size(hand.landmarks)
    if (on_it < roi_box[:2] - reach).any() or (on_it > roi_box[2:] + reach).any():
        low = np.minimum(roi_box[:2], on_it.min(0) - reach)
        high = np.maximum(roi_box[2:], on_it.max(0) + reach)
        roi_box = np.clip(np.concatenate([low, high]), 0, frame).astype(np.float32)
    return replace(
        hand,
        points=np.concatenate([hand.points, points]),
        labels=np.concatenate([hand.labels, labels]),
        box=None if hand.box is None else roi_box,
        roi_box=roi_box,
        clicks=len(points),
    )


def _labels(value: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray:
    """`value` as int64 of `shape`, one label per point; all positive if it is None."""
    if value is None:
        return np.full(shape, POSITIVE, np.int64)
    try:
        labels = np.asarray(_detached(value))
    except (TypeError, ValueError) as error:
        raise ValueError(f"labels must be 0 or 1, one per point: {error}") from error
    labels = labels[None] if labels.ndim == 1 else labels
    if labels.shape != shape or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, one per point {shape}, got {value!r:.80}")
    return labels.astype(np.int64)


def _hands(name: str, value: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """Like `_array`, but also accept no hands: an empty list, or an array of (0, ...)."""
    empty = isinstance(value, list | tuple) and not value
    if empty or getattr(value, "shape", None) in ((0,), (0, *shape)):
        return np.zeros((0, *shape), np.float32)
    return _array(name, value, shape)


def _detached(value: Any) -> Any:
    """Detach tensors, also in lists, and move them to the CPU."""
    if hasattr(value, "detach"):
        return value.detach().cpu()
    if isinstance(value, list | tuple):
        return [_detached(item) for item in value]
    return value


def _array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """`value` as float32 with a leading axis for the hands; -1 in `shape` matches any length."""
    value = _detached(value)
    try:
        array = np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers in a regular shape: {error}") from error
    if array.ndim == len(shape):
        array = array[None]
    fits = array.ndim == len(shape) + 1 and all(
        want in (-1, got) for want, got in zip(shape, array.shape[1:], strict=True)
    )
    if not fits or not array.size or not np.isfinite(array).all():
        wanted = ", ".join("P" if item == -1 else str(item) for item in shape)
        raise ValueError(f"{name} must be (K, {wanted}) finite numbers, got {np.shape(value)}")
    return array
