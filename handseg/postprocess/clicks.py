"""Apply clicks: where the model's mask disagrees with a click, the photo's colours decide."""

from __future__ import annotations

import cv2
import numpy as np

from handseg.landmarks.anatomy import BONES, PALM, hand_size
from handseg.prompts.batch import POSITIVE
from handseg.runtime.connected import Components

_SCALE = 2  # Resolution of the colours, in px per logit.
_REACH = 0.28  # Maximum distance of changes from a click, as a share of the region's side,
_SPREAD = 6.0  # and as a multiple of the click's depth inside the error.
_DISC = 5  # px around a click that always change.
_CLEAR, _SURE = 1.0, 4.0  # Logit above which a click is followed; logit of changed pixels.
_ITERATIONS = 3
_THIN, _NEAR = 0.05, 0.07  # Hand sizes: width of bones that are certainly hand; a click this near
# to a bone means that the bone is wrong. A finger is about 0.2 wide.
_FEWEST = 50  # px of hand or background that GrabCut can learn colours from.


def apply_clicks(
    logits: np.ndarray,
    view: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    landmarks: np.ndarray | None = None,
) -> np.ndarray:
    """Correct the mask around each click that it disagrees with.

    A model may ignore a click. Around a click that its mask does not follow, GrabCut (Rother et
    al., SIGGRAPH 2004) segments the surroundings again by colour, starting from the mask and with
    all clicks as certain. Only the changed part that contains the click is used; everywhere else,
    and where the model agrees, the logits stay the same. Bones inside the mask are certain, too: a
    click into a gap does not remove a finger, unless it lies on one.

    Args:
        logits: (h, h) float32, above 0 on the hand.
        view: (S, S, 3) uint8 RGB, the region of the logits.
        points: (K, 2) float32 x, y in px of `logits`, in the order of the clicks.
        labels: (K,) 1 on the hand, 0 off it.
        landmarks: (21, 2) x, y in px of `logits`; None if unknown.

    Returns:
        (h, h) float32; `logits` itself if nothing changes.
    """
    size = len(logits)
    side = _SCALE * size
    places = np.rint((points + 0.5) * _SCALE - 0.5).astype(int)
    inside = ((places >= 0) & (places < side)).all(1)
    places, on_it = places[inside], labels[inside] == POSITIVE
    finer = cv2.resize(logits, (side, side), interpolation=cv2.INTER_LINEAR)
    signs = np.where(on_it, 1, -1)
    if all(sign * finer[y, x] > _CLEAR for (x, y), sign in zip(places, signs, strict=True)):
        return logits
    before = finer.copy()
    colors = cv2.resize(view, (side, side), interpolation=cv2.INTER_AREA)
    sure = np.zeros((side, side), bool)
    if landmarks is not None:
        sure = _bones((landmarks + 0.5) * _SCALE - 0.5, side, places[~on_it]) & (finer > 0)
    for (x, y), sign in zip(places, signs, strict=True):
        if sign * finer[y, x] > _CLEAR:
            continue
        # A click in the middle of an error is about as deep in it as the error is wide.
        deep = _depth(sign * finer < _CLEAR, x, y)
        reach = int(min(_REACH * side, max(2 * _DISC, _SPREAD * deep)))
        top, left = max(0, y - reach), max(0, x - reach)
        window = slice(top, y + reach + 1), slice(left, x + reach + 1)
        moved = places - [left, top]
        split = _split(colors[window], finer[window] > 0, sure[window], moved, on_it)
        change = (split == (sign > 0)) & (sign * finer[window] < _CLEAR)
        finer[window][_around(change, x - left, y - top)] = sign * _SURE
    return logits + cv2.resize(finer - before, (size, size), interpolation=cv2.INTER_AREA)


def _depth(wrong: np.ndarray, x: int, y: int) -> float:
    """Depth of x, y inside `wrong` (h, w) bool, px."""
    return float(cv2.distanceTransform(wrong.astype(np.uint8), cv2.DIST_L2, 3)[y, x])


def _bones(landmarks: np.ndarray, side: int, off: np.ndarray) -> np.ndarray:
    """(side, side) bool: the palm and the middles of fingers, except those with clicks on them.

    `landmarks` is (21, 2), `off` (K, 2) the clicks off the hand, both in its px.
    """
    size = hand_size(landmarks)
    canvas = np.zeros((side, side), np.uint8)
    palm = cv2.convexHull(landmarks[list(PALM)].astype(np.float32))
    if not any(cv2.pointPolygonTest(palm, (float(x), float(y)), False) >= 0 for x, y in off):
        cv2.fillConvexPoly(canvas, np.rint(palm).astype(np.int32), 1)
    for start, end in landmarks[np.array(BONES)]:
        along = end - start
        share = np.clip((off - start) @ along / max(float(along @ along), 1e-6), 0, 1)
        if (np.linalg.norm(off - start - share[:, None] * along, axis=1) > _NEAR * size).all():
            ends = np.rint(start).astype(int).tolist(), np.rint(end).astype(int).tolist()
            cv2.line(canvas, *ends, color=1, thickness=max(1, round(_THIN * size)))
    return canvas > 0


def _split(
    colors: np.ndarray,
    mask: np.ndarray,
    sure: np.ndarray,
    places: np.ndarray,
    on_it: np.ndarray,
) -> np.ndarray:
    """GrabCut's mask, (h, w) bool, from `mask`; its rim, `sure` pixels and clicks are certain."""
    trimap = np.where(mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    rim = np.ones(mask.shape, bool)
    rim[2:-2, 2:-2] = False
    trimap[rim] = np.where(mask[rim], cv2.GC_FGD, cv2.GC_BGD)
    trimap[sure] = cv2.GC_FGD
    for place, on in zip(places.tolist(), on_it, strict=True):
        cv2.circle(trimap, place, _DISC, cv2.GC_FGD if on else cv2.GC_BGD, -1)
    hand = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    if min(hand.sum(), (~hand).sum()) < _FEWEST:
        return hand
    # GrabCut's clustering may not end if all colours are alike; a little noise, always the same,
    # keeps them apart.
    noise = np.random.default_rng(0).integers(-3, 4, colors.shape)
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    cv2.grabCut(
        np.clip(colors + noise, 0, 255).astype(np.uint8),
        trimap,
        (0, 0, 0, 0),  # Ignored with a mask.
        models[0],
        models[1],
        _ITERATIONS,
        cv2.GC_INIT_WITH_MASK,
    )
    return (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)


def _around(change: np.ndarray, x: int, y: int) -> np.ndarray:
    """The part of `change` that contains the click, without slivers along the mask's contour."""
    solid = cv2.morphologyEx(change.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    cv2.circle(solid, (x, y), _DISC, 1, -1)
    parts = Components.of(solid, 4)
    return parts.at([(x, y)])[parts.labels]
