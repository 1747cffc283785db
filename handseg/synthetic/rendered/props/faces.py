"""Pictures of particular surfaces: cards, key caps, buttons, dials, fruit skins."""

from __future__ import annotations

import cv2
import numpy as np

from handseg.synthetic.rendered.props.textures import (
    SIDE,
    Rgb,
    canvas,
    noise,
    picture,
    plain,
    rgb,
    write,
)


def playing_card(rng: np.random.Generator) -> np.ndarray:
    """A number card or a court card, 183 x 256 px."""
    width = 183
    image = canvas(width, SIDE, (250, 249, 245))
    ink: Rgb = (190, 20, 25) if rng.random() < 0.5 else (20, 20, 24)
    value = int(rng.integers(1, 14))
    text = {1: "A", 11: "J", 12: "Q", 13: "K"}.get(value, str(value))
    cv2.putText(image, text, (8, 30), 0, 0.8, ink, 2, cv2.LINE_AA)
    image[-40:, -50:] = image[:40, :50][::-1, ::-1]
    if value > 10:
        image[36:-36, 36:-36] = cv2.resize(picture(rng), (width - 72, SIDE - 72))
    else:
        for k in range(value):
            across = 1 if value == 1 or (value % 2 and k == value - 1) else k % 2 * 2
            row = 128 if across == 1 else 44 + (k // 2) * 168 // max(1, value // 2 - 1 or 1)
            x = 40 + across * 51
            corners = np.array([(x, row - 15), (x + 11, row), (x, row + 15), (x - 11, row)])
            cv2.fillPoly(image, [corners], ink, cv2.LINE_AA)
    return image


def card_back(rng: np.random.Generator) -> np.ndarray:
    """The patterned back of a playing card, 183 x 256 px."""
    image = canvas(183, SIDE, (248, 246, 240))
    first, second = rgb(rng), rgb(rng)
    image[10:-10, 10:-10] = first
    for k in range(-SIDE, SIDE, 14):
        cv2.line(image, (k, 10), (k + SIDE, 10 + SIDE), second, 2)
        cv2.line(image, (k + SIDE, 10), (k, 10 + SIDE), second, 2)
    for border in (slice(0, 10), slice(-10, None)):
        image[border], image[:, border] = 248, 248
    return image


def bank_card(rng: np.random.Generator) -> np.ndarray:
    """A bank or member card, 256 x 161 px."""
    base = picture(rng) if rng.random() < 0.4 else plain(rng, rgb(rng))
    image = np.ascontiguousarray(base[:161])
    cv2.rectangle(image, (24, 60), (60, 90), (214, 180, 96), -1)
    for x in (36, 48):
        cv2.line(image, (x, 60), (x, 90), (120, 96, 40), 1)
    ink: Rgb = (245, 245, 245) if image.mean() < 140 else (25, 25, 25)
    for k in range(4):
        number = str(rng.integers(1000, 10000))
        cv2.putText(image, number, (22 + 54 * k, 118), 0, 0.5, ink, 1, cv2.LINE_AA)
    write(rng, image, (22, 36), 0.6, ink)
    write(rng, image, (22, 146), 0.4, ink)
    return image


def id_card(rng: np.random.Generator) -> np.ndarray:
    """An identity card or licence with a face and lines of text, 256 x 161 px."""
    light = tuple(int(v) for v in rng.integers(185, 245, 3))
    image = np.ascontiguousarray(plain(rng, (light[0], light[1], light[2]))[:161])
    image[: int(rng.integers(18, 34))] = rgb(rng)
    write(rng, image, (10, 16), 0.45, (250, 250, 250))
    left = 14 if rng.random() < 0.7 else 178
    image[44:132, left : left + 66] = (205, 210, 214)
    skin = [(228, 188, 160), (190, 140, 108), (120, 80, 58)][rng.integers(3)]
    cv2.ellipse(image, (left + 33, 130), (28, 26), 0, 180, 360, rgb(rng, (0.1, 0.6)), -1)
    cv2.ellipse(image, (left + 33, 82), (17, 23), 0, 0, 360, skin, -1, cv2.LINE_AA)
    cv2.ellipse(image, (left + 33, 72), (18, 15), 0, 180, 360, (50, 36, 28), -1, cv2.LINE_AA)
    start = 92 if left < 100 else 12
    for k in range(5):
        write(rng, image, (start, 56 + 19 * k), 0.38, (40, 40, 46))
    return image


def glyphs(rng: np.random.Generator, base: Rgb) -> np.ndarray:
    """8 x 8 key caps of 32 px, each with a letter."""
    image = canvas(SIDE, SIDE, base)
    ink: Rgb = (235, 235, 235) if sum(base) < 380 else (40, 40, 40)
    for k, letter in enumerate(
        rng.permutation(list("QWERTZUIOPASDFGHJKLYXCVBNM0123456789") * 2)[:64]
    ):
        place = (k % 8 * 32 + 9, k // 8 * 32 + 20)
        cv2.putText(image, letter, place, 0, 0.45, ink, 1, cv2.LINE_AA)
    return image


def buttons(rng: np.random.Generator, base: Rgb) -> np.ndarray:
    """The front of a remote control, 77 x 256 px."""
    image = canvas(77, SIDE, base)
    ink: Rgb = (205, 205, 205) if sum(base) < 380 else (70, 70, 78)
    cv2.circle(image, (18, 18), 7, (200, 30, 30), -1, cv2.LINE_AA)
    top = int(rng.integers(36, 60))
    for k in range(12):
        x, y = 16 + k % 3 * 22, top + k // 3 * 19
        cv2.rectangle(image, (x - 7, y - 5), (x + 7, y + 5), ink, -1)
    cv2.circle(image, (38, top + 96), 25, ink, 5, cv2.LINE_AA)
    cv2.circle(image, (38, top + 96), 9, ink, -1, cv2.LINE_AA)
    for k in range(4):
        color = [(200, 40, 40), (50, 160, 70), (220, 190, 50), (60, 90, 200)][k]
        cv2.rectangle(image, (8 + 16 * k, top + 134), (19 + 16 * k, top + 141), color, -1)
    return image


def dial(rng: np.random.Generator) -> np.ndarray:
    """The face of a watch, with hands or digits, 256 x 256 px."""
    base = rgb(rng, (0.0, 0.25)) if rng.random() < 0.6 else (238, 236, 230)
    image = canvas(SIDE, SIDE, base)
    ink: Rgb = (235, 235, 235) if sum(base) < 380 else (25, 25, 25)
    if rng.random() < 0.3:
        time = f"{rng.integers(0, 24):02d}:{rng.integers(0, 60):02d}"
        cv2.putText(image, time, (42, 148), 0, 1.7, ink, 4, cv2.LINE_AA)
        return image
    for k in range(12):
        way = np.array([np.sin(k * np.pi / 6), np.cos(k * np.pi / 6)])
        start, end = (tuple(int(v) for v in 128 + r * way) for r in (92, 112))
        cv2.line(image, start, end, ink, 6 if k % 3 == 0 else 3, cv2.LINE_AA)
    for length, width in ((58, 8), (88, 5)):
        angle = rng.uniform(0, 2 * np.pi)
        tip = (int(128 + length * np.sin(angle)), int(128 - length * np.cos(angle)))
        cv2.line(image, (128, 128), tip, ink, width, cv2.LINE_AA)
    return image


FRUITS: dict[str, tuple[Rgb, Rgb]] = {
    "apple": ((178, 32, 36), (150, 176, 60)),
    "orange": ((232, 128, 24), (240, 150, 40)),
    "banana": ((232, 196, 56), (214, 186, 70)),
    "lemon": ((240, 214, 60), (226, 206, 70)),
    "pear": ((176, 180, 70), (196, 160, 80)),
    "tomato": ((204, 40, 24), (214, 70, 30)),
    "peach": ((230, 160, 110), (214, 110, 84)),
    "potato": ((198, 160, 112), (176, 136, 92)),
}
"""The two colours mixed in each fruit's skin."""


def fruit_skin(rng: np.random.Generator, kind: str) -> np.ndarray:
    """The skin of one of the `FRUITS`, v from its lower to its upper end."""
    first, second = (np.array(c, float) for c in FRUITS[kind])
    share = np.clip(0.35 + 0.5 * noise(rng, (2, 2), 3) + 0.15 * noise(rng, (3, 60), 2), 0, 1)
    mixed = first + share[..., None] * (second - first)
    image = np.clip(mixed * (1 + 0.04 * noise(rng, (32, 32), 3)[..., None]), 0, 255)
    image = image.astype(np.uint8)
    if kind in ("banana", "pear", "potato"):
        for _ in range(int(rng.integers(4, 40))):
            x, y = (int(v) for v in rng.integers(0, SIDE, 2))
            cv2.circle(image, (x, y), int(rng.integers(1, 3)), (110, 76, 40), -1, cv2.LINE_AA)
    if kind == "banana":
        image[:14], image[-14:] = (70, 56, 30), (120, 112, 50)
    return image
