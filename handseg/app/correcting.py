"""The part of the page that corrects masks: points, boxes, and hands that nobody found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont
from streamlit_image_coordinates import streamlit_image_coordinates

from handseg.app import views
from handseg.app.aim import boxed_hand, clicked_hand
from handseg.app.workspace import HandEntry, Photo, PromptedModel, Workspace
from handseg.prompts import HandPrompts
from handseg.results import Hand, HandSegmentation, overlay

ON, OFF, BOX = "Point on the hand", "Point off the hand", "Box"
NEW, CLICKED = -1, -2
"""In place of a hand's number: what is clicked starts another hand, or says which hand it is."""
SMALLEST_BOX = 8
"""px on the screen; a shorter drag was meant for a click."""
LETTERS = "ABC"
"""Of hands that the finder suspects; no more are shown."""


def show_correction(
    workspace: Workspace, key: str, photo: Photo, model: PromptedModel, max_hands: int
) -> None:
    """Click points or a box; a region of the photo is encoded once, however often it is clicked."""
    entries = photo.active(max_hands)
    opened = not entries or bool(photo.history)
    with st.expander("Correct the mask", expanded=opened, icon=":material/ads_click:"):
        result = workspace.segment(photo, model, max_hands)
        suspected = workspace.suspected(photo, model, result.hands)
        picture = views.at_a_glance(_marked(result, entries, suspected))
        names = {CLICKED: "the hand that is clicked", NEW: "a new hand"}
        left, right = st.columns([3, 1])
        with right:
            tool = st.radio("A click sets a", [ON, OFF, BOX], key=f"tool-{key}") or ON
            number = st.radio(
                "of",
                [CLICKED, *range(len(entries)), NEW] if entries else [NEW],
                format_func=lambda n: names.get(n, f"hand {n + 1}"),
                key=_hand_key(key, len(entries)),
            )
            for letter, box in zip(LETTERS, suspected.tolist(), strict=False):
                st.button(
                    f"{letter} is a hand",
                    key=f"suspected-{key}-{letter}-{len(entries)}",
                    on_click=photo.draw_box,
                    args=(None, tuple(box)),
                    help="The hand finder is not sure. A click cuts it out.",
                )
            if tool == BOX:
                st.caption("Press at one corner of the box and let go at the opposite one.")
            if number == CLICKED and len(entries) == 1:
                _buttons(key, photo, entries[0])
            else:
                _buttons(key, photo, None if number in names else entries[number])
        with left, st.container(width=picture.width):
            widget = f"picture-{key}-{'box' if tool == BOX else 'point'}"
            streamlit_image_coordinates(
                picture,
                width="stretch",
                key=widget,
                click_and_drag=tool == BOX,
                image_format="JPEG",
                jpeg_quality=88,
                on_click=lambda: _clicked(
                    key, photo, entries, result.hands, number, tool, st.session_state[widget]
                ),
                cursor="crosshair",
            )


def _marked(
    result: HandSegmentation, entries: list[HandEntry], suspected: np.ndarray
) -> Image.Image:
    """The overlay with the visitor's own points and boxes; what was found would cover the hand.

    Hands get numbers where there are several, `suspected` boxes (K, 4) xyxy px letters.
    """
    own = [
        HandPrompts(
            np.array(entry.points, np.float32).reshape(-1, 2),
            np.array(entry.labels, np.int64),
            box=None if entry.box is None else np.array(entry.box, np.float32),
            roi_box=np.zeros(4, np.float32),
        )
        for entry in entries
    ]
    picture = overlay.prompts(np.asarray(result.overlay(landmarks=False)), own)
    size = max(12, round((picture.width * picture.height) ** 0.5 / 18))
    pen, font, width = ImageDraw.Draw(picture), ImageFont.load_default(size), max(1, size // 10)
    names = [(str(number), hand.box) for number, hand in enumerate(result, start=1)]
    for name, box in [*(names if len(names) > 1 else ()), *zip(LETTERS, suspected, strict=False)]:
        if name in LETTERS:
            pen.rectangle(box.tolist(), outline="white", width=width)
        place = tuple(((box[:2] + box[2:]) / 2).tolist())
        pen.text(place, name, "white", font, "mm", stroke_width=width, stroke_fill="black")
    return picture


def _buttons(key: str, photo: Photo, entry: HandEntry | None) -> None:
    untouched = not photo.history
    with st.container(horizontal=True):
        st.button("Undo", key=f"undo-{key}", on_click=photo.undo, disabled=untouched)
        st.button("Start over", key=f"over-{key}", on_click=photo.start_over, disabled=untouched)
        st.button(
            "Remove hand",
            key=f"remove-{key}",
            on_click=photo.remove,
            args=(entry,),
            disabled=entry is None,
        )


def _clicked(
    key: str,
    photo: Photo,
    entries: list[HandEntry],
    hands: Sequence[Hand],
    number: int,
    tool: str,
    value: dict[str, Any],
) -> None:
    """Take a click or a drag on the picture, which is `value["width"]` px wide on the screen.

    `hands` are those of `entries`.
    """
    assert photo.size is not None
    shown = np.array([value["width"], value["height"]])
    scale = np.array(photo.size) / shown
    names = (("x1", "y1"), ("x2", "y2")) if tool == BOX else (("x", "y"),)
    places = np.array([[value[x], value[y]] for x, y in names])
    spots = np.clip((places + 0.5) * scale - 0.5, 0, np.array(photo.size) - 1)
    box = np.concatenate([spots.min(0), spots.max(0)])
    meant: int | None = number
    if number == CLICKED and tool == BOX:
        meant = boxed_hand(hands, box)
    elif number == CLICKED:
        # A point off the hand starts no hand.
        meant = clicked_hand(hands, spots[0, 0], spots[0, 1], anywhere=tool == OFF)
    entry = None if meant is None or meant == NEW else entries[meant]
    try:
        if tool == BOX:
            drag = np.ptp(places.clip(0, shown), axis=0)
            if drag.min() < SMALLEST_BOX or np.ptp(spots, axis=0).min() < 1:
                raise ValueError("press at one corner of the box and let go at the opposite one")
            photo.draw_box(entry, tuple(box.tolist()))
        else:
            x, y = spots[0].tolist()
            photo.click(entry, x, y, label=int(tool == ON))
    except ValueError as error:
        st.toast(f"{error}".capitalize(), icon=":material/info:")
        return
    if number == NEW:  # What comes next is about the new hand.
        st.session_state[_hand_key(key, len(entries) + 1)] = len(entries)


def _hand_key(key: str, count: int) -> str:
    return f"hand-{key}-{count}"
