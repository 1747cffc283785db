"""The parts of the page that show one photo."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from handseg.app import checks, downloads, views
from handseg.app.clipboard import copy_button
from handseg.app.launch import PageSettings
from handseg.app.sidebar import Options
from handseg.app.workspace import Photo, PromptedModel, Workspace
from handseg.data.mask_file import read_mask_file
from handseg.evaluation import contact_sheet
from handseg.evaluation.metrics import compare_masks
from handseg.io.decode import open_image
from handseg.io.files import encode_image
from handseg.results import Hand, HandSegmentation, overlay

ONE_CLASS = "a true mask shows the hand alone, white on black"


def show_result(workspace: Workspace, key: str, photo: Photo, options: Options) -> None:
    """Show landmarks and prompts, mask, cut-out, before and after, and the files."""
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
    """Return a table row, all text; missing scores are empty."""
    scores = {
        "Predicted IoU": hand.predicted_iou,
        "Score of the hand finder": hand.detection_score,
        "Score of left or right": hand.handedness_score,
    }
    shown = {name: "" if value is None else f"{value:.2f}" for name, value in scores.items()}
    return {"Hand": str(number + 1), "Area": f"{hand.area:,} px", **shown}


@st.fragment  # Copying a picture reruns only this part of the page.
def _offer(key: str, photo: Photo, result: HandSegmentation, options: Options) -> None:
    """Offer the files; each is made when it is requested."""
    stem = downloads.stem_of(photo.name)
    background, edge = options.background, options.edge

    def picture() -> bytes:
        made = downloads.picture(result, background, edge)
        return encode_image(made, "cutout.png", result.dpi)

    files: list[tuple[str, str, Callable[[], bytes]]] = [
        ("Cut-out (PNG)" if background is None else "Composite (PNG)", f"{stem}.png", picture),
        (
            "Cropped (PNG)",
            f"{stem}_cropped.png",
            lambda: encode_image(
                downloads.picture(result, background, edge, crop=True), "cropped.png", result.dpi
            ),
        ),
        (
            "Mask (PNG)",
            f"{stem}_mask.png",
            lambda: encode_image(result.mask, "mask.png", result.dpi),
        ),
        ("Outline (SVG)", f"{stem}.svg", lambda: result.outline_svg().encode()),
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
    with offer(key, files):
        what = "cut-out" if background is None else "composite"
        copy_button(f"Copy {what}", picture, f"copy-{key}")


def offer(key: str, files: list[tuple[str, str, Callable[[], bytes]]]) -> DeltaGenerator:
    """Show buttons for files (label, file name, function that makes it); return the row."""
    row = st.container(horizontal=True)
    with row:
        for label, name, make in files:
            st.download_button(
                label,
                make,
                name,
                key=f"{label}-{key}",
                on_click="ignore",
                icon=":material/download:",
            )
    return row


def offer_all(workspace: Workspace, photos: list[Photo], options: Options) -> None:
    """Offer a zip archive with the files of all photos."""

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


def show_truth(
    workspace: Workspace, key: str, photo: Photo, options: Options, settings: PageSettings
) -> None:
    """Show IoU and boundary F against a mask from the visitor."""
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
            truth, notes = _read_truth(file.getvalue(), result.image.shape[1::-1])
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


def _read_truth(data: bytes, photo: tuple[int, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a true mask as large as the photo, width and height; others are not even decoded.

    Raises:
        ValueError: if it has another size, or is no mask.
    """
    with open_image(data, sys.maxsize) as opened:
        size = opened.image.size
    if sorted(size) == sorted(photo):  # It may be stored turned.
        truth, notes = read_mask_file(data, "it", hint=ONE_CLASS)
        size = truth.shape[1], truth.shape[0]
        if size == photo:
            return truth, notes
    raise ValueError(f"it has {size[0]} x {size[1]} px, the photo {photo[0]} x {photo[1]}")
