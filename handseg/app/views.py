"""Pictures for the page: small enough to send, and a before-after slider."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

SIDE = 1280
"""Longer side of pictures on the page, px; downloads have the photo's size."""

GLANCE = (1000, 720)
"""Largest width and height, px, of a picture that should be visible without scrolling."""

_SQUARE = 16  # Square of the checkerboard, px.


def small(picture: Image.Image | np.ndarray) -> Image.Image:
    """Shrink `picture`, RGB or grey, to fit the page."""
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    scale = min(1.0, SIDE / max(image.size))
    if scale == 1:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BOX)


def glance_width(size: tuple[int, int]) -> int:
    """Return the display width, px, at which a picture is visible without scrolling."""
    return max(
        1, round(size[0] * min(most / side for most, side in zip(GLANCE, size, strict=True)))
    )


def on_checkerboard(cutout: Image.Image) -> Image.Image:
    """Draw a picture with alpha on a checkerboard, as image editors do, RGB."""
    rows, columns = np.indices((cutout.height, cutout.width)) // _SQUARE
    board = np.where((rows + columns) % 2, 205, 245).astype(np.uint8)
    under = Image.fromarray(board).convert("RGB")
    under.paste(cutout, mask=cutout)
    return under


def compare(before: Image.Image, after: Image.Image, key: str) -> None:
    """Show two pictures of the same size, overlaid, with a handle to move the line between them."""
    pictures = {"before": data_uri(before), "after": data_uri(after)}
    _compare(data=pictures | {"ratio": before.width / before.height}, key=key, height="content")


def data_uri(picture: Image.Image) -> str:
    """Encode `picture`, RGB, as the source of an <img>."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


_compare: Any = st.components.v2.component(
    "handseg_compare",
    html="""
<div class="compare">
  <img class="after" alt="after" draggable="false">
  <img class="before" alt="before" draggable="false">
  <span class="label left">Photo</span><span class="label right">Result</span>
  <div class="line"></div>
  <input type="range" min="0" max="100" value="50" step="0.1"
         aria-label="How much of the photo is shown over the result, in percent">
</div>
""",
    css="""
.compare { position: relative; width: 100%; max-width: calc(75vh * var(--ratio)); margin: auto;
  line-height: 0; --at: 50%; }
.compare img { width: 100%; height: auto; border-radius: 0.5rem; user-select: none; }
.compare .before { position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.compare .line { position: absolute; top: 0; bottom: 0; left: var(--at); width: 3px;
  margin-left: -1.5px; background: white; box-shadow: 0 0 3px rgba(0, 0, 0, 0.7); }
.compare .line::after { content: "\\2194"; position: absolute; top: 50%; left: 50%;
  transform: translate(-50%, -50%); width: 2.2rem; height: 2.2rem; border-radius: 50%;
  background: white; color: #333; font: 1.2rem/2.2rem sans-serif; text-align: center;
  box-shadow: 0 0 3px rgba(0, 0, 0, 0.7); }
.compare .label { position: absolute; top: 0.5rem; padding: 0 0.5rem; border-radius: 0.3rem;
  background: rgba(0, 0, 0, 0.55); color: white; font: 0.8rem/1.5 sans-serif; }
.compare .left { left: 0.5rem; }
.compare .right { right: 0.5rem; }
.compare input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y; }
.compare input:focus-visible ~ .line, .compare:focus-within .line { background: #ff4b4b; }
""",
    js="""
export default function ({ parentElement, data }) {
  const box = parentElement.querySelector(".compare");
  box.querySelector(".before").src = data.before;
  box.querySelector(".after").src = data.after;
  box.style.setProperty("--ratio", data.ratio);
  const range = box.querySelector("input");
  const move = () => box.style.setProperty("--at", range.value + "%");
  range.oninput = move;
  move();
}
""",
)
