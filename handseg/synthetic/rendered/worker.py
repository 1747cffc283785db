"""The work of one process: pose, render, develop, write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handseg.errors import RenderingError, reason
from handseg.synthetic.rendered.blender.stage import Rendered, Stage
from handseg.synthetic.rendered.develop import (
    develop,
    draw_background,
    highlight_gain,
    incident_light,
)
from handseg.synthetic.rendered.run import VIEWS, Settings, draw_take, numbers_of, write_picture
from handseg.synthetic.rendered.take import Take
from handseg.synthetic.rendered.truth import make_truth

OVEREXPOSED = 0.15
"""Share of pictures in which lamps may overexpose skin."""
TAKES_PER_STAGE = 50
"""Takes after which the stage is set up anew: Cycles keeps the textures of all that it showed."""


def render_takes(
    folder: Path, settings: Settings, takes: Sequence[int], threads: int
) -> Iterator[tuple[int, int]]:
    """Render and write these takes; yield each one's number and how many of its draws failed.

    Raises:
        RenderingError: after all others, if there are takes that no body could do.
    """
    photos = settings.photos()
    undone: list[str] = []
    for count, take in enumerate(takes):
        if count % TAKES_PER_STAGE == 0:
            stage = Stage(threads=threads)
        try:
            shown, attempts = draw_take(settings, take)
        except RenderingError as error:  # It would fail again: the others must not wait for it.
            undone.append(reason(error))
            continue
        stage.set(shown)
        for number in numbers_of(settings, take):
            view = shown.views[number - take * VIEWS]
            rendered = stage.render(view, settings.size)
            rng = np.random.default_rng([settings.seed, number, 7])
            image, noted = _develop(shown, rendered, photos, rng)
            truth = make_truth(shown, view, rendered.channels, rendered.depth)
            write_picture(folder, settings, number, image, truth, shown, noted)
        yield take, attempts
    if undone:
        raise RenderingError("; ".join(undone))


def _develop(
    take: Take, rendered: Rendered, photos: list[Path], rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, Any]]:
    background, name = draw_background(photos, len(rendered.alpha), rng)
    albedos = [hand.albedo for hand in take.hands]
    light = incident_light(rendered.color, rendered.alpha, rendered.channels, albedos)
    white = float(np.exp(rng.normal(np.log(0.85), 0.28)))
    behind = float(np.exp(rng.normal(-0.15, 0.3)))
    gain = white / light
    if rng.random() > OVEREXPOSED:
        gain = min(gain, highlight_gain(rendered.color, rendered.channels, len(albedos)))
    image = develop(rendered.color, rendered.alpha, background, gain, behind)
    return image, {"background": name, "white": round(gain * light, 3)}
