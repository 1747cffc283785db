"""Two small networks that detect hands, including hands that MediaPipe misses.

One finds hands in the whole photo, also on tables, seen from behind, small, or cut by the frame;
the other checks places in close-ups. `handseg.finetune.finder` trains both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handseg.landmarks.boxes import box_iou
from handseg.landmarks.close_ups import PAD, CloseUp
from handseg.landmarks.found import HandBox
from handseg.runtime.forks import forks_wait
from handseg.runtime.onnx_graph import Graph

BUNDLED_FINDER = Path(__file__).parents[1] / "assets" / "hand-finder" / "finder.onnx"
BUNDLED_CLOSE_UP = BUNDLED_FINDER.with_name("close_up.onnx")
INPUT_SIDE = 320
"""px: a photo's longer side in the network's input."""
STRIDE = 8
"""px of the input between neighbouring cells of the network's output map."""
FAINT = 1e-4
"""Minimum score of a detection in a close-up."""
SAME_PLACE = 0.3
"""Minimum IoU of a detection in a close-up with the box that it shows."""
_MULTIPLE = 32
_OVERLAP = 0.45  # Above this IoU, the less confident of two boxes is a duplicate.


class HandFinder:
    """Finds hands in whole photos, on the CPU.

    Threads can share one. It can be copied and pickled, and keeps working in a forked process.

    Args:
        graph: file written by `handseg.finetune.finder`; None uses the bundled one.
        threads: threads per call; None uses all cores, or the limit for workers.
        close_up: file written by it with `close_ups: true`; None uses the bundled one.

    Raises:
        ModelError: if a file cannot be read.
    """

    def __init__(
        self,
        graph: str | Path | None = None,
        threads: int | None = None,
        close_up: str | Path | None = None,
    ) -> None:
        self._files = [None if one is None else Path(one).absolute() for one in (graph, close_up)]
        self._threads = threads
        self._graph = Graph(self._files[0] or BUNDLED_FINDER, threads)
        self._close_up = Graph(self._files[1] or BUNDLED_CLOSE_UP, threads)

    def __reduce__(self) -> tuple[Any, ...]:
        # The bundled graphs may be elsewhere on another machine.
        return HandFinder, (self._files[0], self._threads, self._files[1])

    def find(self, image: np.ndarray, least: float = 0.3) -> list[HandBox]:
        """Find hands in `image`, (H, W, 3) uint8 RGB, with scores from `least` up, best first."""
        with forks_wait():  # OpenCV's threads have locks.
            pixels, scale = fit(image)
        (maps,) = self._graph.run({"pixels": pixels[None]})
        return [hand.resized(1 / scale) for hand in decode(maps[0], least)]

    def close_up_score(self, image: np.ndarray, box: np.ndarray) -> float:
        """Score the place in `box`, (4,) xyxy px, in a close-up of `image`, (H, W, 3) uint8 RGB.

        Returns:
            The highest score of a hand that overlaps `box`, 0..1; 0.0 if there is none.
        """
        view = CloseUp.of(box)
        with forks_wait():
            pixels = view.pixels(image)
        (maps,) = self._close_up.run({"pixels": pixels[None]})
        hands = decode(maps[0], FAINT)
        places = np.array([hand.box for hand in hands], np.float32).reshape(-1, 4)
        near = np.flatnonzero(box_iou(view.inward(box)[None], places)[0] > SAME_PLACE)
        return hands[near[0]].detection_score if len(near) else 0.0


def fit(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The photo as network input, (h, w, 3) uint8, and the (2,) scale factors of x and y."""
    height, width = image.shape[:2]
    scale = INPUT_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, size, interpolation=way)
    right, below = (-side % _MULTIPLE for side in size)
    padded = cv2.copyMakeBorder(
        small, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(PAD, PAD, PAD)
    )
    return padded, np.array([size[0] / width, size[1] / height])


def decode(maps: np.ndarray, least: float) -> list[HandBox]:
    """Decode the network's output to boxes in pixels of the input, most confident first.

    `maps` is (8, h, w) float32: see `handseg.finetune.finder.network.CHANNELS`.
    """
    logits = maps[0]
    # Like max pooling in torch: a cell counts if it is the maximum of its 3 x 3 neighbourhood.
    highest = cv2.dilate(logits, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((logits >= highest) & (logits >= np.log(least / (1 - least))))
    order = np.argsort(-logits[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    logit, width, height, x, y, right, wrist_x, wrist_y = maps[:, rows, columns].astype(float)
    middles = (np.stack([columns + x, rows + y], 1) + 0.5) * STRIDE - 0.5
    halves = np.exp(np.clip(np.stack([width, height], 1), -3, 5)) * STRIDE / 2
    boxes = np.concatenate([middles - halves, middles + halves], 1).astype(np.float32)
    wrists = np.stack([wrist_x, wrist_y], 1)
    wrists /= np.maximum(np.linalg.norm(wrists, axis=1, keepdims=True), 1e-6)
    again, kept = box_iou(boxes, boxes) > _OVERLAP, list[int]()
    for index in range(len(boxes)):
        if not again[index, kept].any():
            kept.append(index)
    return [
        HandBox(
            boxes[index],
            float(1 / (1 + np.exp(-logit[index]))),
            float(1 / (1 + np.exp(-right[index]))),
            wrists[index].astype(np.float32),
        )
        for index in kept
    ]
