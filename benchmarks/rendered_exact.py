"""How exact rendered masks are, compared with the same scenes rendered at four times the size.

    python benchmarks/rendered_exact.py [--takes 14] [--size 448] [--seed 5]

Prints by scene the mean distance between the contours of the hand masks: from every contour point
of the small mask to the nearest of the large one, in px of the small one.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree

from handseg.synthetic.rendered.run import Settings, draw_take
from handseg.synthetic.rendered.scenes import SCENES
from handseg.synthetic.rendered.truth import make_truth

FACTOR = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--takes", type=int, default=14)
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    from handseg.synthetic.rendered.blender.stage import Stage  # Blender is not needed for --help.

    torch.set_num_threads(1)
    settings = Settings(
        3 * arguments.takes, arguments.seed, arguments.size, tuple(SCENES), "", False
    )
    stage = Stage()
    distances: dict[str, list[np.ndarray]] = defaultdict(list)
    for number in range(arguments.takes):
        take, _ = draw_take(settings, number)
        stage.set(take)
        view = take.views[0]
        small, large = (
            make_truth(take, view, rendered.channels, rendered.depth).hand
            for rendered in (
                stage.render(view, arguments.size),
                stage.render(view, FACTOR * arguments.size),
            )
        )
        if small.any() and large.any():
            scene = settings.scenes[number % len(SCENES)]
            distances[scene].append(between(small, large))
    for scene, found in sorted(distances.items()):
        every = np.concatenate(found)
        print(
            f"{scene}: mean {every.mean():.3f} px, 95th percentile {np.quantile(every, 0.95):.3f}"
        )
    every = np.concatenate([each for found in distances.values() for each in found])
    print(f"all: mean {every.mean():.3f} px over {len(every)} contour points")


def between(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """(N,) distances from the small mask's contour to the large one's, in its px; (S, S) bool."""
    one = contour(small)
    other = (contour(large) + 0.5) / FACTOR - 0.5
    return cKDTree(other).query(one)[0]


def contour(mask: np.ndarray) -> np.ndarray:
    """(N, 2) x, y: midpoints between neighbours with one on the mask and one off it."""
    grid = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE) > 0
    points = []
    y, x = np.nonzero(grid[:, 1:] != grid[:, :-1])
    points.append(np.stack([x - 0.5, y - 1.0], 1))
    y, x = np.nonzero(grid[1:] != grid[:-1])
    points.append(np.stack([x - 1.0, y - 0.5], 1))
    return np.concatenate(points)


if __name__ == "__main__":
    main()
