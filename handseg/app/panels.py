"""The parts of the page that show one photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont
from streamlit_image_coordinates import streamlit_image_coordinates

from handseg.app import checks, downloads, views
from handseg.app.aim import boxed_hand, clicked_hand
from handseg.app.launch import PageSettings
from handseg.app.sidebar import Options
from handseg.app.workspace import HandEntry, Photo, PromptedModel, Workspace
from handseg.data.mask_file import read_mask_file
from handseg.evaluation import contact_sheet
from handseg.evaluation.metrics import compare_masks
from handseg.io.files import encode_image
from handseg.prompts import HandPrompts
from handseg.results import Hand, HandSegmentation, overlay

ON, OFF, BOX = "Point on the hand", "Point off the hand", "Box"
NEW, CLICKED = -1, -2
"""In place of a hand's number: what is clicked starts another hand, or says which hand it is."""
ONE_CLASS = "a true mask shows the hand alone, white on black"
SMALLEST_BOX = 8
"""px on the screen; a shorter drag was meant for a click."""


def show_result(workspace: Workspace, key: str, photo: Photo, options: Options) -> None:
    """Landmarks and prompts, mask, cut-out, before and after, and the files."""
    result = workspace.segment(photo, options.model, options.max_hands)
    model = options.model
    prompted = isinstance(model, PromptedModel)
    for text in photo.warnings:
        st.warning(f"**{photo.name}**{text}", icon=":material/warning:")
    if not result:
        hint = " Point at it below: click on the hand, or draw a box around it." if prompted else ""
        st.warning(
            f"No hand found in **{photo.name}**.{hint}",
            icon=":material/search_off:",
        )
    cutout = downloads.picture(result, options.background, options.edge)
    shown = views.small(cutout)
    if shown.mode == "RGBA":
        shown = views.on_checkerboard(shown)
    first, second, third = st.columns(3)
    with first:
        if isinstance(model, PromptedModel):
            told = [workspace.prompts(photo, model, one) for one in photo.active(options.max_hands)]
            st.image(views.small(overlay.prompts(result.image, told)), "Landmarks and prompts")
        else:
            st.image(views.small(result.image), "Photo (this model takes no prompts)")
    with second:
        st.image(views.small(result.mask * np.uint8(255)), "Mask")
    with third:
        st.image(shown, "Cut-out" if options.background is None else "Composite")
    if result:
        views.compare(views.small(result.image), shown, f"compare-{key}")
        hands = result.hands
        st.caption("  \n".join(_describe(number, hands, prompted) for number in range(len(hands))))
        with st.expander("Numbers", icon=":material/table:"):
            st.table([_numbers(number, hand) for number, hand in enumerate(hands)])
    _offer(key, photo, result, options)


def _describe(number: int, hands: Sequence[Hand], prompted: bool) -> str:
    side = f", {hands[number].handedness}" if hands[number].handedness else ""
    return f"Hand {number + 1}{side}: {checks.in_words(hands[number], hands, prompted)}"


def _numbers(number: int, hand: Hand) -> dict[str, str]:
    """A row of the table, all of it text: a score that nobody asked for is empty."""
    scores = {
        "Predicted IoU": hand.predicted_iou,
        "Score of the hand finder": hand.detection_score,
        "Score of left or right": hand.handedness_score,
    }
    shown = {name: "" if value is None else f"{value:.2f}" for name, value in scores.items()}
    return {"Hand": str(number + 1), "Area": f"{hand.area:,} px", **shown}


def _offer(key: str, photo: Photo, result: HandSegmentation, options: Options) -> None:
    """Files are made when they are asked for."""
    stem = downloads.stem_of(photo.name)
    background, edge = options.background, options.edge
    files: list[tuple[str, str, Callable[[], bytes]]] = [
        (
            "Cut-out (PNG)" if background is None else "Composite (PNG)",
            f"{stem}.png",
            lambda: encode_image(
                downloads.picture(result, background, edge), "cutout.png", result.dpi
            ),
        ),
        (
            "Mask (PNG)",
            f"{stem}_mask.png",
            lambda: encode_image(result.mask, "mask.png", result.dpi),
        ),
        (
            "Overlay (JPEG)",
            f"{stem}_overlay.jpg",
            lambda: encode_image(result.overlay(), "overlay.jpg", result.dpi),
        ),
        (
            "Numbers (JSON)",
            f"{stem}.json",
            lambda: downloads.to_json([downloads.numbers(photo.name, result)]),
        ),
    ]
    offer(key, files)


def offer(key: str, files: list[tuple[str, str, Callable[[], bytes]]]) -> None:
    """Buttons for files of a photo: label, name of the file, and what makes it."""
    with st.container(horizontal=True):
        for label, name, make in files:
            st.download_button(
                label,
                make,
                name,
                key=f"{label}-{key}",
                on_click="ignore",
                icon=":material/download:",
            )


def offer_all(workspace: Workspace, photos: list[Photo], options: Options) -> None:
    """One archive with the files of all photos."""

    def results() -> Iterator[tuple[str, HandSegmentation]]:
        for photo in photos:
            yield photo.name, workspace.segment(photo, options.model, options.max_hands)

    st.download_button(
        f"All {len(photos)} photos (ZIP)",
        lambda: downloads.to_zip(results(), options.background, options.edge),
        "hands.zip",
        "application/zip",
        key="zip",
        on_click="ignore",
        icon=":material/folder_zip:",
        type="primary",
    )


def show_correction(workspace: Workspace, key: str, photo: Photo, options: Options) -> None:
    """Click points or a box; a region of the photo is encoded once, however often it is clicked."""
    entries = photo.active(options.max_hands)
    opened = not entries or bool(photo.history)
    with st.expander("Correct the mask", expanded=opened, icon=":material/ads_click:"):
        result = workspace.segment(photo, options.model, options.max_hands)
        picture = views.at_a_glance(_marked(result, entries))
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


def _marked(result: HandSegmentation, entries: list[HandEntry]) -> Image.Image:
    """The overlay with the visitor's own points and boxes; what was found would cover the hand."""
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
    if len(result) > 1:
        _number(picture, result.hands)
    return picture


def _number(picture: Image.Image, hands: Sequence[Hand]) -> None:
    """Write each hand's number on it, in place."""
    size = max(12, round((picture.width * picture.height) ** 0.5 / 18))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    for number, hand in enumerate(hands, start=1):
        place = tuple(((hand.box[:2] + hand.box[2:]) / 2).tolist())
        width = max(1, size // 10)
        pen.text(place, str(number), "white", font, "mm", stroke_width=width, stroke_fill="black")


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


def show_truth(
    workspace: Workspace, key: str, photo: Photo, options: Options, settings: PageSettings
) -> None:
    """IoU and boundary F against a mask that the visitor has."""
    with st.expander("Compare with a true mask", icon=":material/rule:"):
        file = st.file_uploader(
            "True mask, white on the hand, as large as the photo",
            max_upload_size=settings.max_megabytes,
            key=f"truth-{key}",
        )
        if file is None:
            return
        result = workspace.segment(photo, options.model, options.max_hands)
        try:
            truth, notes = read_mask_file(file.getvalue(), "it", hint=ONE_CLASS)
            if truth.shape != result.image.shape[:2]:
                raise ValueError(
                    f"it has {truth.shape[1]} x {truth.shape[0]} px, the photo "
                    f"{result.image.shape[1]} x {result.image.shape[0]}"
                )
        except ValueError as error:
            st.error(f"**{file.name}** is no true mask for this photo: {error}")
            return
        for note in notes:
            st.caption(f"**{file.name}**: {note}")
        scores = compare_masks(result.mask, truth)
        for column, (label, value) in zip(
            st.columns(4),
            [
                ("IoU", f"{scores.iou:.3f}"),
                ("Boundary F", f"{scores.boundary_f:.3f}"),
                ("Mean contour distance", f"{scores.mean_distance_px:.2f} px"),
                ("Pixel accuracy", f"{scores.pixel_accuracy:.4f}"),
            ],
            strict=True,
        ):
            column.metric(label, value)
        case = contact_sheet.draw_case(photo.name, scores.iou, result.image, truth, result.mask)
        left, right = st.columns(2)
        left.image(case.photo, "Photo")
        right.image(
            case.picture, "Green: both. Blue: the true mask alone. Orange: the result alone."
        )
