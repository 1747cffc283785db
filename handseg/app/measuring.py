"""The part of the page that measures fingers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from handseg.app import downloads, views
from handseg.app.panels import offer
from handseg.app.sidebar import Options
from handseg.app.workspace import Photo, Workspace
from handseg.errors import MeasurementError
from handseg.io.files import encode_image
from handseg.measure import HandMeasurement, Scale, coins, hand_dict, measure_hand
from handseg.measure.report import HEADS, cells, scale_text
from handseg.measure.ring_sizes import FITS
from handseg.measure.scales import CARD, DIAMETERS
from handseg.results import HandSegmentation

COIN, DIAMETER, BANK_CARD, KNOWN = "Coin", "Diameter", "Bank card", "mm a pixel"


def show_measuring(workspace: Workspace, key: str, photo: Photo, options: Options) -> None:
    """Show widths, lengths and ring sizes, by a coin, a card or a known scale, with a picture."""
    with st.expander("Measure fingers", icon=":material/straighten:"):
        result = workspace.segment(photo, options.model, options.max_hands)
        left, middle, right = st.columns([2, 1, 1])
        with left:
            kind = st.radio(
                "Scale",
                [COIN, DIAMETER, BANK_CARD, KNOWN],
                horizontal=True,
                key="scale",
                help="What lies flat on the palm, or beside the hand on the same ground. Hold the "
                "camera straight above a flat hand with its fingers apart.",
            )
        with middle:
            scale, mm_per_px = _choose_scale(key, kind or COIN)
        with right:
            fit = st.radio(
                "Ring",
                list(FITS),
                format_func=str.capitalize,
                horizontal=True,
                key="fit",
                help=f"How it is to sit: loose adds {FITS['loose']} mm to its diameter.",
            )
        index = _choose_hand(key, result)
        if scale is None and mm_per_px is None:
            return
        try:
            measured = measure_hand(result, index, scale=scale, mm_per_px=mm_per_px)
        except MeasurementError as error:
            st.error(f"**{photo.name}** cannot be measured: {error}", icon=":material/error:")
            return
        _show(key, photo, measured, hand_dict(measured, fit=fit or "fitted"))


def _choose_scale(key: str, kind: str) -> tuple[Scale | None, float | None]:
    """Return the scale and the mm per pixel; one is None, and both until one is chosen.

    The mm per pixel are those of the photo `key` alone.
    """
    if kind == COIN:
        return st.selectbox("Coin", list(coins()), None, key="coin", placeholder="Which one"), None
    if kind == DIAMETER:
        low, high = DIAMETERS
        label = "Diameter of a coin or disc, mm"
        return st.number_input(label, low, high, None, 0.05, "%.2f", key="diameter"), None
    if kind == KNOWN:
        return None, st.number_input(
            "mm a pixel at the fingers", 1e-4, None, None, 0.001, "%.4f", key=f"mm_per_px-{key}"
        )
    return CARD, None


def _choose_hand(key: str, result: HandSegmentation) -> int:
    if len(result) < 2:
        return 0
    number = st.radio(
        "Hand to measure",
        range(len(result)),
        format_func=lambda number: f"hand {number + 1}",
        horizontal=True,
        key=f"measured-{key}-{len(result)}",
    )
    return number or 0


def _show(key: str, photo: Photo, measured: HandMeasurement, values: dict[str, Any]) -> None:
    found = "Magenta: the coin or card that was taken, and where a ring sits. "
    marks = found if measured.coins or measured.card else "Magenta: where a ring sits. "
    picture = views.small(measured.overlay())
    with st.container(width=views.glance_width(picture.size)):
        st.image(
            picture,
            f"{scale_text(measured)}. {marks}Light blue across: the middle joint. White: the "
            "length.",
        )
    rows = values["fingers"]
    table = [dict(zip(HEADS, cells(row), strict=True)) for row in rows if not row["reason"]]
    if table:
        pinned = {HEADS[0]: st.column_config.Column(pinned=True)}
        st.dataframe(table, hide_index=True, column_config=pinned)
        st.caption(
            "In brackets: the range that holds the true value in 95 of 100 cases. Ring sizes "
            "follow from the width; where the joint is much wider, take a larger one."
        )
    if refused := [f"- **{row['finger']}**: {row['reason']}" for row in rows if row["reason"]]:
        st.markdown("\n".join(["Not measured:", *refused]))
    stem = downloads.stem_of(photo.name)
    offer(
        key,
        [
            ("Sizes (CSV)", f"{stem}_sizes.csv", lambda: downloads.sizes(photo.name, rows)),
            (
                "Sizes (JSON)",
                f"{stem}_sizes.json",
                lambda: downloads.to_json([{"file": photo.name, **values}]),
            ),
            (
                "Measured (JPEG)",
                f"{stem}_measured.jpg",
                lambda: encode_image(measured.overlay(), "measured.jpg", photo.dpi),
            ),
        ],
    )
