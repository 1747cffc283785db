"""The part of the page that corrects masks: points, boxes, a brush, and missed hands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import streamlit as st

from handseg.app.aim import CLICKED, NEW, Pointer
from handseg.app.entries import HandEntry
from handseg.app.frame import Frame
from handseg.app.pointing import Tool, point_at
from handseg.app.workspace import Photo, PromptedModel, Workspace
from handseg.results import Hand, HandSegmentation

ON, OFF, BOX, MOVE = "Point on the hand", "Point off the hand", "Box", "Move the view"
ADD, ERASE = "Brush: add", "Brush: erase"
TOOLS: dict[str, Tool] = {
    ON: "point",
    OFF: "point",
    BOX: "box",
    ADD: "add",
    ERASE: "erase",
    MOVE: "move",
}
RADII = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200)
"""Radii of the brush, px of the photo."""
LETTERS = "ABC"
"""Names of hands that the finder suspects; no more are shown."""
HINTS = {
    ON: "Click on what is missing. Drag a point to move it, click on it to remove it.",
    OFF: "Click on what is too much. Drag a point to move it, click on it to remove it.",
    BOX: "Press at one corner of the box and let go at the opposite one.",
    ADD: "Paint over what is missing. Zoom in for the last pixels.",
    ERASE: "Paint over what is too much. Zoom in for the last pixels.",
    MOVE: "Drag the picture to see another part of it.",
}


def show_correction(
    workspace: Workspace, key: str, photo: Photo, model: PromptedModel, max_hands: int
) -> None:
    """Show the tools; a region of the photo is encoded once, however many clicks it gets."""
    entries = photo.active(max_hands)
    opened = _stays_open(key, not entries or bool(photo.history))
    with st.expander("Correct the mask", expanded=opened, icon=":material/ads_click:"):
        result = workspace.segment(photo, model, max_hands)
        suspected = workspace.suspected(photo, model, result.hands)
        with st.container(horizontal=True):
            tool = st.radio(
                "A click or a drag",
                list(TOOLS),
                key=f"tool-{key}",
                horizontal=True,
                label_visibility="collapsed",
            )
            tool = tool or ON
            number = _choose_hand(key, len(entries))
            frame = _frame(key, photo, result, number)
            radius = _choose_radius(key, frame) if tool in (ADD, ERASE) else RADII[0]
        with st.container(horizontal=True):
            _buttons(key, photo, entries, number)
            _zoom(key, frame)
            _suspicions(key, photo, entries, suspected)
        point_at(
            result,
            frame,
            TOOLS[tool],
            radius,
            st.session_state.get(_painted_key(key), 0),
            _points(entries),
            *_boxes_and_names(result, entries, suspected),
            key=f"picture-{key}",
            on_action=lambda action: _take(
                key,
                lambda: Pointer(
                    photo, photo.active(max_hands), result.hands, number, int(tool == ON)
                ),
                action,
            ),
        )
        st.caption(HINTS[tool])


def offer_undo(key: str, photo: Photo) -> None:
    """Offer to undo corrections of a photo from which the model cannot cut out its hands."""
    st.caption("The last correction may be the reason: undo it, or choose another model.")
    with st.container(horizontal=True):
        _undo_buttons(key, photo)


def _undo_buttons(key: str, photo: Photo) -> None:
    untouched = not photo.history
    st.button("Undo", key=f"undo-{key}", on_click=photo.undo, disabled=untouched, shortcut="Mod+Z")
    st.button("Reset", key=f"over-{key}", on_click=photo.start_over, disabled=untouched)


def _stays_open(key: str, wanted: bool) -> bool:
    """Return whether this part is open; once opened, it does not close by itself."""
    name = f"correcting-{key}"
    st.session_state[name] = opened = wanted or st.session_state.get(name, False)
    return opened


def _choose_radius(key: str, frame: Frame) -> int:
    """Choose the radius, px of the photo; it starts at a value that suits the shown part."""
    name = f"chosen-radius-{key}"  # A widget's own state is lost when another tool is chosen.
    radii = [radius for radius in RADII if radius <= max(RADII[2], max(frame.photo) / 8)]
    fitting = min(radii, key=lambda radius: abs(radius - frame.width / 50))
    radius = st.select_slider(
        "Radius of the brush, px of the photo",
        radii,
        st.session_state.get(name, fitting),
        key=f"radius-{key}",
        width=320,
    )
    st.session_state[name] = radius
    return radius


def _choose_hand(key: str, count: int) -> int:
    """Choose the hand that a click is for: its number, NEW or CLICKED."""
    if not count:
        return NEW
    names = {CLICKED: "the one clicked", NEW: "a new one"}
    number = st.radio(
        "Hand",
        [CLICKED, *range(count), NEW],
        format_func=lambda n: names.get(n, f"hand {n + 1}"),
        key=_hand_key(key, count),
        on_change=_look_anew,
        args=(key,),
        horizontal=True,
    )
    return CLICKED if number is None else number


def _frame(key: str, photo: Photo, result: HandSegmentation, number: int) -> Frame:
    """Return the visible frame: around the hand, until the visitor moves it.

    It does not follow the mask, as the picture would move with every click.
    """
    name = _frame_key(key)
    if name not in st.session_state:
        assert photo.size is not None
        hands = result.hands if number < 0 else result.hands[number : number + 1]
        st.session_state[name] = _around(hands, photo.size)
    frame: Frame = st.session_state[name]
    return frame


def _around(hands: Sequence[Hand], size: tuple[int, int]) -> Frame:
    if not hands:
        return Frame.whole(size)
    boxes = np.array([hand.box for hand in hands])
    return Frame.around(np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)]), size)


def _look(key: str, frame: Frame) -> None:
    st.session_state[_frame_key(key)] = frame


def _look_anew(key: str) -> None:
    """Go back to the chosen hand, as when the photo was opened."""
    st.session_state.pop(_frame_key(key), None)


def _zoom(key: str, frame: Frame) -> None:
    st.button("Hand", key=f"near-{key}", on_click=_look_anew, args=(key,), help="See the hand")
    for label, name, other, text in (
        ("Photo", "whole", Frame.whole(frame.photo), "See the whole photo"),
        (":material/zoom_in:", "closer", frame.closer(), "Closer"),
        (":material/zoom_out:", "wider", frame.wider(), "Wider"),
    ):
        st.button(
            label,
            key=f"{name}-{key}",
            on_click=_look,
            args=(key, other),
            disabled=other == frame,
            help=text,
        )


def _points(entries: Sequence[HandEntry]) -> list[dict[str, Any]]:
    return [
        {"hand": hand, "number": number, "x": x, "y": y, "label": label}
        for hand, entry in enumerate(entries)
        for number, ((x, y), label) in enumerate(zip(entry.points, entry.labels, strict=True))
    ]


def _boxes_and_names(
    result: HandSegmentation, entries: Sequence[HandEntry], suspected: np.ndarray
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the visitor's own boxes, the numbers of several hands, and suspected hands."""
    own = [{"box": entry.box, "color": "#ffd200"} for entry in entries if entry.box is not None]
    unsure = [{"box": box.tolist(), "color": "white"} for box in suspected[: len(LETTERS)]]
    hands = [(str(number), hand.box) for number, hand in enumerate(result, start=1)]
    named = [*(hands if len(hands) > 1 else ()), *zip(LETTERS, suspected, strict=False)]
    names = []
    for text, box in named:
        x, y = ((box[:2] + box[2:]) / 2).tolist()
        names.append({"text": text, "x": x, "y": y})
    return [*own, *unsure], names


def _buttons(key: str, photo: Photo, entries: list[HandEntry], number: int) -> None:
    chosen = None
    if number >= 0:
        chosen = entries[number]
    elif number == CLICKED and len(entries) == 1:
        chosen = entries[0]
    _undo_buttons(key, photo)
    st.button(
        "Remove hand",
        key=f"remove-{key}",
        on_click=photo.remove,
        args=(chosen,),
        disabled=chosen is None,
    )


def _suspicions(key: str, photo: Photo, entries: list[HandEntry], suspected: np.ndarray) -> None:
    def accept(box: tuple[float, float, float, float]) -> None:
        photo.draw_box(None, box)
        _look_anew(key)

    for letter, box in zip(LETTERS, suspected.tolist(), strict=False):
        st.button(
            f"{letter} is a hand",
            key=f"suspected-{key}-{letter}-{len(entries)}",
            on_click=accept,
            args=(tuple(box),),
            help="The hand finder is not sure. A click cuts it out.",
        )


def _take(key: str, aim: Callable[[], Pointer], action: dict[str, Any]) -> None:
    """Apply an action on the picture; `aim` returns its current target."""
    pointer = aim()
    assert pointer.photo.size is not None
    frame = Frame(pointer.photo.size, *map(int, action["frame"]))
    if action["do"] == "pan":
        _look(key, frame.moved(action["across"], action["down"]))
        return
    try:
        if action["do"] == "paint":
            for stroke in _new_strokes(key, action["strokes"]):
                aim().act({"do": "paint", **stroke}, frame)
        else:
            pointer.act(action, frame)
    except ValueError as error:
        st.toast(f"{error}".capitalize(), icon=":material/info:")
        return
    if pointer.number == NEW and action["do"] in ("click", "box"):  # Further actions are for it.
        count = len(pointer.entries)
        st.session_state[_hand_key(key, count + 1)] = count


def _new_strokes(key: str, strokes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the strokes that have not arrived before, and mark them as arrived."""
    name = _painted_key(key)
    last = st.session_state.get(name, 0)
    st.session_state[name] = max(stroke["id"] for stroke in strokes)
    return [stroke for stroke in strokes if stroke["id"] > last]


def _hand_key(key: str, count: int) -> str:
    return f"hand-{key}-{count}"


def _frame_key(key: str) -> str:
    return f"frame-{key}"


def _painted_key(key: str) -> str:
    return f"painted-{key}"
