"""A Streamlit component: the picture on which a visitor clicks and draws.

It shows a part of the photo with the hands' outlines, the visitor's points and the strokes that
are not in the mask yet, and reports:

- `click`: `x`, `y`, away from existing points.
- `box`: `x1`, `y1`, `x2`, `y2`, any two opposite corners.
- `move` and `remove`: point `number` of `hand`, which was `at` x, y px; `move` to `x`, `y`.
- `pan`: how far the view was dragged, `across` and `down`.
- `paint`: `strokes` of the brush, each with its `id`, `points`, `radius` and `erase`. Strokes not
  known to have arrived are sent again, as Streamlit may drop the first of two quick reports. Later
  strokes have higher ids.

Coordinates are shares of the sides of the shown `frame`, which is sent along; only those of strokes
are px of the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
import streamlit as st
from PIL import Image

from handseg.app import views
from handseg.app.frame import Frame
from handseg.results import HandSegmentation, formats, overlay

Tool: TypeAlias = Literal["point", "box", "move", "add", "erase"]

_HERE = Path(__file__).parent
_SMOOTH = 0.1  # Tolerance of outlines, px of the photo, to save bytes.


def point_at(
    result: HandSegmentation,
    frame: Frame,
    tool: Tool,
    radius: float,
    painted: float,
    points: Sequence[dict[str, Any]],
    boxes: Sequence[dict[str, Any]],
    names: Sequence[dict[str, Any]],
    key: str,
    on_action: Callable[[dict[str, Any]], None],
) -> None:
    """Show the part of the photo in `frame`, and call `on_action` for each action on it.

    Args:
        result: the photo and its hands.
        frame: what to show.
        tool: effect of a click or drag on the picture; "add" and "erase" are brushes.
        radius: radius of the brush, px of the photo.
        painted: number of the last stroke that has arrived, 0 if none has.
        points: `hand`, `number`, `x`, `y` px and `label` of each.
        boxes: `box` xyxy px and `color` of each.
        names: `text` at `x`, `y` px.
        key: key of the widget.
        on_action: takes a dict with the action as `do`; see the module's docstring.
    """
    first, last = (frame.left, frame.top), (frame.left + frame.width, frame.top + frame.height)
    part = Image.fromarray(result.image[first[1] : last[1], first[0] : last[0]])
    with st.container(width=views.glance_width(part.size)):
        _picture(
            key=key,
            data={
                "picture": views.data_uri(views.small(part)),
                "photo": frame.photo,
                "frame": astuple(frame)[1:],
                "tool": tool,
                "radius": radius,
                "painted": painted,
                "hands": [
                    {"path": _outline(hand.contours()), "color": _css(number)}
                    for number, hand in enumerate(result)
                ],
                "points": points,
                "boxes": boxes,
                "names": names,
            },
            on_action_change=lambda: on_action(dict(st.session_state[key].action)),
        )


def _outline(polygons: Sequence[np.ndarray]) -> str:
    return formats.svg_path([cv2.approxPolyDP(one, _SMOOTH, True)[:, 0] for one in polygons])


def _css(number: int) -> str:
    """Return the colour of a hand, the same as in overlays."""
    return "rgb({}, {}, {})".format(*overlay.PALETTE[number % len(overlay.PALETTE)])


_picture: Any = st.components.v2.component(
    "handseg_pointing",
    html="""
<div class="view">
  <div class="sheet"><img alt="The photo to click on" draggable="false">
    <svg class="lines" preserveAspectRatio="none" aria-hidden="true"></svg>
    <div class="marks"></div>
    <svg class="paint" preserveAspectRatio="none" aria-hidden="true"><circle class="ring" /></svg>
  </div>
  <div class="drawn" hidden></div>
</div>
""",
    css=(_HERE / "pointing.css").read_text("utf-8"),
    js=(_HERE / "pointing.js").read_text("utf-8"),
)
