"""Pictures for surfaces, drawn by code: (H, W, 3) uint8 sRGB of at most 256 px per side."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

SIDE = 256
Rgb = tuple[int, int, int]


def rgb(rng: np.random.Generator, value: tuple[float, float] = (0.2, 0.95)) -> Rgb:
    """Draw a colour, 0..255, with a brightness in a given range."""
    color = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.9), rng.uniform(*value))
    red, green, blue = (round(255 * c) for c in color)
    return red, green, blue


def canvas(width: int, height: int, color: Rgb) -> np.ndarray:
    """A picture of one colour."""
    return np.full((height, width, 3), color, np.uint8)


def noise(rng: np.random.Generator, cells: tuple[int, int], octaves: int = 4) -> np.ndarray:
    """(SIDE, SIDE) float32 smooth noise about 0 that tiles without a seam.

    `cells` is the number of its coarsest grains in y and x.
    """
    out = np.zeros((SIDE, SIDE), np.float32)
    place = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    for k in range(octaves):
        shape = min(cells[0] * 2**k, SIDE), min(cells[1] * 2**k, SIDE)
        coarse = rng.standard_normal(shape).astype(np.float32)
        x, y = np.meshgrid(place * shape[1] - 0.5, place * shape[0] - 0.5)
        out += cv2.remap(coarse, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP) / 2**k
    return out / 1.4


def _tinted(color: Rgb | np.ndarray, factor: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the colour times an (H, W) factor."""
    return np.clip(np.asarray(color, float) * factor[..., None], 0, 255).astype(np.uint8)


def _word(rng: np.random.Generator, length: int) -> str:
    return "".join(rng.choice(list("AEIOUBCDLMNPRST"), length))


def write(
    rng: np.random.Generator, image: np.ndarray, at: tuple[int, int], scale: float, color: Rgb
) -> None:
    """Draw a random word with its lower left corner at (x, y) px."""
    font = int(rng.choice([0, 2, 3, 4]))
    text = _word(rng, int(rng.integers(3, 9)))
    cv2.putText(image, text, at, font, scale, color, max(1, round(2 * scale)), cv2.LINE_AA)


def _lines(
    rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int], pitch: int
) -> None:
    """Draw paragraphs of small grey words into a box (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = box
    ink = int(rng.integers(20, 110))
    for y in range(y0 + pitch, y1, pitch):
        x, end = x0, x1 if rng.random() > 0.15 else int(rng.uniform(x0, x1))
        while x < end - 6:
            step = min(int(rng.integers(6, 30)), end - x)
            cv2.line(image, (x, y), (x + step - 3, y), (ink, ink, ink), max(1, pitch // 3))
            x += step


def wood(rng: np.random.Generator) -> np.ndarray:
    """Wood grain along v, from birch to walnut."""
    light = np.array([(226, 190, 148), (200, 150, 100), (166, 112, 70), (112, 72, 46)])
    base = light[rng.integers(len(light))] * rng.uniform(0.85, 1.1)
    x = np.linspace(0, int(rng.integers(3, 9)), SIDE, endpoint=False)[None]
    rings = np.sin(2 * np.pi * (x + 0.5 * noise(rng, (2, 3), 2)))
    grain = 1 + rng.uniform(0.03, 0.13) * rings + 0.05 * noise(rng, (4, 64), 2)
    return _tinted(base, grain)


def marble(rng: np.random.Generator) -> np.ndarray:
    """Polished stone with veins."""
    base = rgb(rng, (0.25, 0.95)) if rng.random() < 0.4 else (232, 230, 226)
    veins = np.exp(-8 * np.abs(noise(rng, (3, 3), 5)))
    return _tinted(base, 1 + 0.04 * noise(rng, (4, 4)) - rng.uniform(0.2, 0.5) * veins)


def leather(rng: np.random.Generator, color: tuple[float, float, float]) -> np.ndarray:
    """Leather of a colour (sRGB 0..1) with a blotchy grain."""
    grain = 1 + 0.04 * noise(rng, (4, 4), 3) + 0.03 * noise(rng, (64, 64), 2)
    return _tinted(255 * np.array(color), grain)


def plain(rng: np.random.Generator, color: Rgb, amount: float = 0.03) -> np.ndarray:
    """A colour with faint blotches."""
    return _tinted(color, 1 + amount * noise(rng, (4, 4), 5))


def checked(rng: np.random.Generator) -> np.ndarray:
    """Checked or striped cloth."""
    first, second = rgb(rng, (0.7, 1)), rgb(rng)
    count = int(rng.integers(4, 13))
    waves = np.arange(SIDE) * 2 * count // SIDE % 2
    across = waves[None] * 0.5 + (waves[:, None] * 0.5 if rng.random() < 0.75 else 0)
    image = np.array(first) * (1 - across[..., None]) + np.array(second) * across[..., None]
    return np.clip(image * (1 + 0.05 * rng.standard_normal((SIDE, SIDE, 1))), 0, 255).astype(
        np.uint8
    )


def cloth(rng: np.random.Generator) -> np.ndarray:
    """Woven cloth of one colour."""
    weave = np.indices((SIDE, SIDE)).sum(0) % 2 * 0.08
    return _tinted(rgb(rng), 1 - weave + 0.04 * noise(rng, (64, 64), 2))


def page(rng: np.random.Generator) -> np.ndarray:
    """A printed, ruled, squared or blank sheet of paper, 181 x 256 px."""
    width = 181
    white = int(rng.integers(225, 252))
    image = canvas(width, SIDE, (white, white, white - int(rng.integers(0, 16))))
    kind = rng.choice(["print", "ruled", "squared", "blank"], p=[0.55, 0.15, 0.15, 0.15])
    if kind == "print":
        if rng.random() < 0.6:
            write(rng, image, (16, 28), 0.6, (20, 20, 20))
        _lines(rng, image, (14, 34, width - 14, SIDE - 14), int(rng.integers(4, 9)))
        if rng.random() < 0.4:
            x, y = (int(v) for v in rng.integers(20, 100, 2))
            image[y : y + 70, x : x + 60] = picture(rng)[:70, :60]
    elif kind != "blank":
        blue = (150, 170, 215)
        for k in range(8, SIDE, 9):
            cv2.line(image, (0, k), (width, k), blue, 1)
            if kind == "squared":
                cv2.line(image, (k, 0), (k, SIDE), blue, 1)
    return image


def picture(rng: np.random.Generator) -> np.ndarray:
    """A colourful abstract picture: a gradient with shapes."""
    first, second = np.array(rgb(rng), float), np.array(rgb(rng), float)
    share = np.linspace(0, 1, SIDE)[:, None, None]
    image = np.broadcast_to(first + share * (second - first), (SIDE, SIDE, 3))
    image = np.ascontiguousarray(image.astype(np.uint8))
    for _ in range(int(rng.integers(2, 9))):
        x, y, size = (int(v) for v in rng.integers(10, 230, 3))
        if rng.random() < 0.5:
            cv2.circle(image, (x, y), size // 4 + 3, rgb(rng), -1, cv2.LINE_AA)
        else:
            cv2.rectangle(image, (x, y), (x + size // 2, y + size // 3), rgb(rng), -1)
    return image


def label(rng: np.random.Generator, width: int = 256, height: int = 128) -> np.ndarray:
    """The printed wrapper of a bottle or can, once around."""
    image = canvas(width, height, rgb(rng, (0.3, 1)))
    if rng.random() < 0.5:
        band = int(rng.integers(6, height // 3))
        image[:band] = image[-band:] = rgb(rng)
    if rng.random() < 0.5:
        for x in range(0, width, width // 2):
            centre = (x + width // 4, height // 2)
            cv2.circle(image, centre, height // 3, rgb(rng), -1, cv2.LINE_AA)
    ink = rgb(rng, (0, 0.4)) if image.mean() > 130 else (250, 250, 250)
    for x in range(0, width, width // 2):
        write(rng, image, (x + 8, height // 2 + 6), width / 320, ink)
    _lines(rng, image, (width // 2 + 6, height * 3 // 4, width - 6, height - 8), 6)
    return image


def cover(rng: np.random.Generator) -> np.ndarray:
    """The cover of a book or the side of a package."""
    image = picture(rng) if rng.random() < 0.5 else plain(rng, rgb(rng))
    ink: Rgb = (15, 15, 15) if image.mean() > 130 else (245, 245, 245)
    write(rng, image, (20, int(rng.integers(50, 90))), 1.1, ink)
    write(rng, image, (20, int(rng.integers(110, 150))), 0.7, ink)
    if rng.random() < 0.5:
        _lines(rng, image, (20, 190, 236, 240), 8)
    return image


def package(rng: np.random.Generator) -> np.ndarray:
    """Six sides of a carton as an atlas of 3 x 2; plain brown at times."""
    image = np.empty((SIDE, 255, 3), np.uint8)
    brown = rng.random() < 0.25
    base = (188, 148, 104) if brown else rgb(rng, (0.3, 1))
    for k in range(6):
        side = plain(rng, base)
        if (k < 4 and not brown) or rng.random() < 0.3:
            write(rng, side, (24, 120), 1.4, rgb(rng))
            _lines(rng, side, (24, 150, 230, 230), 16)
        y, x = k // 3 * 128, k % 3 * 85
        image[y : y + 128, x : x + 85] = cv2.resize(side, (85, 128), interpolation=cv2.INTER_AREA)
    return image


def screen(rng: np.random.Generator) -> np.ndarray:
    """A phone's screen: nothing, icons, text or a picture; 128 x 256 px."""
    width = 128
    kind = rng.choice(["off", "icons", "text", "picture"])
    if kind == "off":
        return canvas(width, SIDE, (8, 8, 10))
    if kind == "text":
        image = canvas(width, SIDE, (248, 248, 250))
        image[:24] = rgb(rng)
        _lines(rng, image, (8, 34, 120, 246), 9)
        return image
    image = np.ascontiguousarray(picture(rng)[:, :width])
    if kind == "icons":
        for y in range(24, 240, 32):
            for x in range(10, 110, 29):
                if rng.random() < 0.85:
                    cv2.rectangle(image, (x, y), (x + 19, y + 19), rgb(rng, (0.5, 1)), -1)
    write(rng, image, (10, 16), 0.35, (255, 255, 255))
    return image


def relief(rng: np.random.Generator, color: Rgb | np.ndarray, value: str = "") -> np.ndarray:
    """One face of a coin: beaded edge, a figure and a head, light and dark as if embossed.

    `color` is one colour or (SIDE, SIDE, 3), 0..255; `value` is the figure, a head if empty.
    """
    height = np.zeros((SIDE, SIDE), np.uint8)
    for angle in np.linspace(0, 2 * np.pi, 60, endpoint=False):
        x, y = 128 + 114 * np.cos(angle), 128 + 114 * np.sin(angle)
        cv2.circle(height, (round(x), round(y)), 3, 255, -1)
    if value:
        cv2.putText(height, value, (36, 160), 0, 3.2 / max(1, len(value) - 0.6), 255, 9)
        cv2.circle(height, (170, 110), int(rng.integers(30, 60)), 255, 3)
    else:
        cv2.ellipse(height, (128, 118), (44, 60), float(rng.uniform(-15, 15)), 0, 360, 255, -1)
        cv2.ellipse(height, (128, 205), (70, 40), 0, 180, 360, 255, -1)
    high = cv2.GaussianBlur(height.astype(np.float32) / 255, (0, 0), 2)
    shade = high - np.roll(high, (3, 3), (0, 1))
    worn = 1 + 0.06 * noise(rng, (3, 3), 6)
    return _tinted(color, worn + 0.5 * shade - 0.15 * high)
