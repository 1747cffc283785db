"""Photos of hands at a phone's resolution with subpixel-exact masks.

A hand cut out of a small picture is enlarged: the blurred mask, enlarged by cubic interpolation,
crosses one half along a smooth line, and the area inside that line, counted at `SUPERSAMPLING`
times the photo's resolution, is both the pasted hand and the truth. Skin regains the fine grain
lost in enlarging; lens, sensor and JPEG come last. The hands are those of the person held out by
`finetune/lite_scenes.yaml`.

    exact_photo   any pose and place, in front of a collage
    phone_photo   an open palm with a coin on it, upright, on a desk
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handseg.data.image_mask import find_pairs
from handseg.io.images import load_image
from handseg.landmarks.anatomy import PALM, WRIST, WRIST_END, hand_size, palm_axis
from handseg.measure import Coin
from handseg.synthetic.pasted import effects
from handseg.synthetic.pasted.cutouts import Cutout, make_cutout
from handseg.synthetic.pasted.sources import Example, add_landmarks

Generator = np.random.Generator

SUPERSAMPLING = 4
PHONE_SIZE = (4032, 2160)
"""Height and width of `phone_photo`."""

HELD_OUT = "hand5_"
BROKEN = "hand5_g_bot_seg_3_"
"""Its mask includes a rag below the hand."""

OPEN_HAND = "hand5_5_"
BACKGROUNDS = "plasma*"
"""Pictures that no model was trained on."""

COIN_SHARE = (0.22, 0.28)
"""A coin's diameter in hand sizes: euro coins of 22 to 26 mm on palms of 9 to 10 cm."""

_OUTLINE_BLUR = 1.3  # px of the small picture: smooths its mask's staircase edge.
_GRAIN = ((1.5, 3.0), (3.0, 4.0), (7.0, 3.0), (20.0, 3.0))  # px and strength of skin's texture.
_STRIP = 256  # Rows rendered at a time.
_SHIFT = 4  # OpenCV draws to 1/16 px.
_FARTHEST = 60000  # px: the limit of OpenCV's fixed point.
_SILVER, _GOLD = np.array([178.0, 178.0, 174.0]), np.array([196.0, 156.0, 84.0])
_CORE = 0.72  # Where the two metals of a euro coin meet, in its radii.
_DESKS = ((168, 122, 82), (205, 170, 128), (96, 66, 46), (225, 222, 216), (120, 122, 126))


@dataclass(frozen=True, eq=False)
class ExactPhoto:
    """A photo with its ground truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        alpha: (H, W) float32 0..1, the share of each pixel that the hand covers.
        foreground: (H, W, 3) uint8 RGB, the hand's own colours, without background, lens or noise;
            meaningful where `alpha` is above 0.
        landmarks: (21, 2) float32 x, y px.
        coin: the coin on the palm, which counts as hand, or None.
    """

    image: np.ndarray
    alpha: np.ndarray
    foreground: np.ndarray
    landmarks: np.ndarray
    coin: Coin | None = None


def load_hands(data: Path, cache: Path) -> list[Example]:
    """The held-out person's hands; their landmarks are kept in the folder `cache`."""
    pairs = find_pairs(data / "train" / "massey_asl")
    names = [pair.image_path.name for pair in pairs]
    held_out = [
        pair
        for pair, name in zip(pairs, names, strict=True)
        if name.startswith(HELD_OUT) and not name.startswith(BROKEN)
    ]
    return [one for one in add_landmarks(held_out, cache) if one.landmarks is not None]


def open_hands(hands: Sequence[Example]) -> list[Example]:
    """Keep those that show an open palm with spread fingers."""
    return [hand for hand in hands if hand.image_path.name.startswith(OPEN_HAND)]


def load_backgrounds(data: Path) -> list[Path]:
    return sorted((data / "backgrounds").glob(BACKGROUNDS))


def exact_photo(
    example: Example,
    rng: Generator,
    height: int,
    width: int,
    backgrounds: Sequence[Path],
    *,
    hand_share: float | None = None,
    sleeve: bool = True,
    cables: int = 0,
) -> ExactPhoto:
    """Make a photo of a hand in any pose and place in front of a collage.

    Args:
        example: the hand.
        rng: source of all other choices.
        height: height of the photo, px.
        width: width of the photo, px.
        backgrounds: pictures for the collage and the sleeve's cloth.
        hand_share: hand size as a share of the photo's shorter side (of a wide one: of 1.4 times
            its width); None draws one.
        sleeve: whether a sleeve covers the arm beyond the wrist.
        cables: number of cables behind the hand.
    """
    cutout = make_cutout(example)
    share = hand_share or rng.uniform(0.18, 0.30)
    scale = share * min(height, width * 1.4) / hand_size(cutout.landmarks)
    matrix = _placed(cutout, scale, rng.normal(0, 0.4), rng, height, width)
    canvas = draw_cables(collage(rng, height, width, backgrounds), rng, cables)
    cloth = _cloth(rng, height, width, backgrounds) if sleeve else None
    return _compose(cutout, matrix, rng, canvas, cloth)


def phone_photo(example: Example, rng: Generator, backgrounds: Sequence[Path]) -> ExactPhoto:
    """Make an upright photo of an open palm with a coin on it, on a desk with cables.

    The palm fills the photo's width. `example` is one of `open_hands`.
    """
    height, width = PHONE_SIZE
    cutout = make_cutout(example)
    axis = palm_axis(cutout.landmarks)
    upright = np.arctan2(axis[0], axis[1])  # The palm's axis points to the wrist: down.
    spread = np.ptp(_turned(cutout.landmarks, upright)[:, 0])
    scale = rng.uniform(0.7, 0.85) * width / spread
    matrix = _placed(cutout, scale, upright + rng.normal(0, 0.07), rng, height, width)
    canvas = draw_cables(draw_desk(rng, height, width, backgrounds), rng, int(rng.integers(3, 9)))
    cloth = _cloth(rng, height, width, backgrounds)
    return _compose(cutout, matrix, rng, canvas, cloth, coin_share=rng.uniform(*COIN_SHARE))


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    return points @ _rotation(angle).T


def _rotation(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _placed(
    cutout: Cutout, scale: float, angle: float, rng: Generator, height: int, width: int
) -> np.ndarray:
    """(2, 3) matrix from cut-out to photo pixels; mirrors the hand at random."""
    linear = scale * np.diag([rng.choice([-1.0, 1.0]), 1.0]) @ _rotation(angle)
    moved = cutout.landmarks @ linear.T
    low, high = moved.min(0), moved.max(0)
    offset = rng.uniform(0.2, 0.8, 2) * (np.array([width, height]) - (high - low)) - low
    return np.hstack([linear, offset[:, None]])


def _compose(
    cutout: Cutout,
    matrix: np.ndarray,
    rng: Generator,
    canvas: np.ndarray,
    cloth: np.ndarray | None,
    coin_share: float | None = None,
) -> ExactPhoto:
    """Lay hand and sleeve on `canvas` and take the photo."""
    height, width = canvas.shape[:2]
    landmarks = (cutout.landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    outline = None if cloth is None else _sleeve(landmarks, rng, 3.0 * max(height, width))
    skin, hand, sleeve = _coverage(cutout, matrix, outline, height, width)
    color = _skin_color(cutout, matrix, rng, height, width)
    coin = None
    if coin_share is not None:
        centre = landmarks[list(PALM)].mean(0).astype(float) + rng.normal(0, 2, 2)
        coin = Coin(centre, coin_share * hand_size(landmarks), 1.0, 1.0)
        _lay_coin(color, coin, rng)
    if rng.random() < 0.7:
        canvas = _shaded(canvas, skin, rng)
    image = _over(color, skin, canvas.astype(np.float32))
    if cloth is not None:
        image = _over(cloth, sleeve, image)
    return ExactPhoto(_camera(image, rng), hand, color, landmarks, coin)


def _over(color: np.ndarray, alpha: np.ndarray, below: np.ndarray) -> np.ndarray:
    return below + alpha[..., None] * (color - below)


def _sleeve(landmarks: np.ndarray, rng: Generator, far: float) -> np.ndarray:
    """Outline, (N, 2) px, of a sleeve that starts between wrist and `WRIST_END`."""
    axis, size = palm_axis(landmarks), hand_size(landmarks)
    across = np.array([-axis[1], axis[0]])
    start = landmarks[WRIST] + axis * size * rng.uniform(0.0, WRIST_END * 0.8)
    place = np.linspace(-1, 1, 9)
    bulge = rng.normal(0, 0.1) * (1 - place**2) + rng.normal(0, 0.01, 9)
    half_width = rng.uniform(0.55, 0.75)
    rim = start + size * (place[:, None] * half_width * across + bulge[:, None] * axis)
    end = start + axis * far
    return np.vstack([rim, end + across * size, end - across * size])


def _coverage(
    cutout: Cutout, matrix: np.ndarray, outline: np.ndarray | None, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of each pixel, float32: skin, skin not covered by a sleeve, and sleeve."""
    field = cv2.GaussianBlur((cutout.alpha > 0.5).astype(np.float32), (0, 0), _OUTLINE_BLUR)
    fine = SUPERSAMPLING * matrix
    fine[:, 2] += (SUPERSAMPLING - 1) / 2
    corners = None if outline is None else (outline + 0.5) * SUPERSAMPLING - 0.5
    result = np.empty((3, height, width), np.float32)
    for top in range(0, height, _STRIP):
        rows = min(_STRIP, height - top)
        size = (width * SUPERSAMPLING, rows * SUPERSAMPLING)
        shifted = fine - [[0, 0, 0], [0, 0, top * SUPERSAMPLING]]
        enlarged = cv2.warpAffine(field, shifted, size, flags=cv2.INTER_CUBIC)
        skin = (enlarged > 0.5).astype(np.uint8)
        sleeve = np.zeros_like(skin)
        if corners is not None:
            moved = np.clip(corners - [0, top * SUPERSAMPLING], -_FARTHEST, _FARTHEST)
            cv2.fillPoly(sleeve, [np.round(moved * 2**_SHIFT).astype(np.int32)], 1, shift=_SHIFT)
        for layer, mask in zip(result, (skin, skin & ~sleeve, sleeve), strict=True):
            layer[top : top + rows] = _averaged(mask.astype(np.float32), (width, rows))
    return result[0], result[1], result[2]


def _averaged(fine: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(fine, size, interpolation=cv2.INTER_AREA)


def _skin_color(
    cutout: Cutout, matrix: np.ndarray, rng: Generator, height: int, width: int
) -> np.ndarray:
    """(H, W, 3) uint8, the enlarged skin in another tone and light, with grain."""
    color = cv2.warpAffine(
        cutout.color, matrix, (width, height), None, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
    )
    color = effects.vary_color(effects.vary_skin(color, rng), rng, 0.5)
    grain = sum(
        strength * _noise(rng, height, width, pixels, pixels) for pixels, strength in _GRAIN
    )
    strength = rng.uniform(0.3, 1.2) / 128
    return np.clip(color * (1 + strength * np.asarray(grain)[..., None]), 0, 255).astype(np.uint8)


def _noise(rng: Generator, height: int, width: int, tall: float, wide: float) -> np.ndarray:
    """(H, W) float32 smooth noise with spots `tall` and `wide` px in size."""
    shape = (max(2, int(height / tall)), max(2, int(width / wide)))
    values = rng.standard_normal(shape, np.float32)
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC)


def _shaded(canvas: np.ndarray, skin: np.ndarray, rng: Generator) -> np.ndarray:
    """Cast the hand's shadow on `canvas`."""
    height, width = skin.shape
    small = _averaged(skin, (width // 8, height // 8))
    shift = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    shift[:, 2] = rng.normal(0, 0.02 * width / 8, 2)
    shadow = cv2.warpAffine(small, shift, (width // 8, height // 8))
    shadow = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(0.5, 20))
    shadow = cv2.resize(shadow, (width, height), interpolation=cv2.INTER_LINEAR)
    return (canvas * (1 - rng.uniform(0.15, 0.6) * shadow[..., None])).astype(np.uint8)


def _camera(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Apply the effects of lens, sensor and file."""
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.3))
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(1, 8))
    image = np.clip(image + cv2.GaussianBlur(noise, (0, 0), 0.6), 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(85, 97))]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)[1]
    return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def collage(rng: Generator, height: int, width: int, files: Sequence[Path]) -> np.ndarray:
    """Repeat and mirror a picture, enlarged 1.6 times at most, and paste parts of others on it."""
    canvas = effects.vary_color(_tiled(rng, height, width, files), rng)
    for _ in range(rng.integers(0, 6)):
        tall, wide = (int(rng.uniform(0.1, 0.5) * side) for side in (height, width))
        patch = cv2.resize(_any_of(files, rng), (wide, tall), interpolation=cv2.INTER_CUBIC)
        y, x = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
        canvas[y : y + tall, x : x + wide] = effects.vary_color(patch, rng)
    return canvas


def _any_of(files: Sequence[Path], rng: Generator) -> np.ndarray:
    return load_image(files[int(rng.integers(len(files)))])


def _tiled(rng: Generator, height: int, width: int, files: Sequence[Path]) -> np.ndarray:
    scale = rng.uniform(1.0, 1.6)
    base = cv2.resize(_any_of(files, rng), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    across, down = -(-width // base.shape[1]), -(-height // base.shape[0])
    row = np.hstack([base if index % 2 == 0 else base[:, ::-1] for index in range(across)])
    whole = np.vstack([row if index % 2 == 0 else row[::-1] for index in range(down)])
    y, x = rng.integers(whole.shape[0] - height + 1), rng.integers(whole.shape[1] - width + 1)
    return np.ascontiguousarray(whole[y : y + height, x : x + width])


def _cloth(rng: Generator, height: int, width: int, files: Sequence[Path]) -> np.ndarray:
    """Cloth of a sleeve, (H, W, 3) float32: printed or dyed."""
    cloth = collage(rng, height, width, files).astype(np.float32)
    if rng.random() < 0.6:
        dye = rng.integers(0, 256, 3) * rng.uniform(0.1, 1) / 128
        cloth = np.clip(cloth.mean(-1, keepdims=True) * dye.astype(np.float32), 0, 255)
    return cloth


def draw_desk(rng: Generator, height: int, width: int, files: Sequence[Path]) -> np.ndarray:
    """Draw wood or paint with grain and a faint picture, lit from one side."""
    picture = cv2.cvtColor(_tiled(rng, height, width, files), cv2.COLOR_RGB2GRAY)
    pattern = rng.uniform(0.05, 0.3) / 128 * (picture.astype(np.float32) - picture.mean())
    grain = sum(_noise(rng, height, width, *spots) for spots in ((150, 3), (600, 12), (1500, 70)))
    light = cv2.resize(effects.light_gradient(256, rng), (width, height))
    factor = light * (1 + pattern + rng.uniform(0.01, 0.06) * np.asarray(grain))
    tone = np.array(_DESKS[rng.integers(len(_DESKS))]) * np.exp(rng.normal(0, 0.06, 3))
    return np.clip(factor[..., None] * tone.astype(np.float32), 0, 255).astype(np.uint8)


def draw_cables(canvas: np.ndarray, rng: Generator, count: int) -> np.ndarray:
    """Draw `count` cables, mostly grey, with shadows on `canvas`."""
    height, width = canvas.shape[:2]
    t = np.linspace(0, 1, 200)[:, None]
    for _ in range(count):
        a, b, c, d = rng.uniform(-0.2, 1.2, (4, 2)) * [width, height]
        curve = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
        grey = rng.random() < 0.7
        color = np.full(3, rng.integers(256)) if grey else rng.integers(0, 256, 3)
        wide = max(2, int(rng.uniform(0.006, 0.02) * width))
        dark = canvas.copy()
        _line(dark, curve + np.array([0.4, 0.5]) * wide, np.zeros(3), 1.4 * wide)
        canvas = cv2.addWeighted(canvas, 0.6, dark, 0.4, 0)
        _line(canvas, curve, 0.6 * color, wide)
        _line(canvas, curve, color, 0.55 * wide)
    return canvas


def _line(canvas: np.ndarray, curve: np.ndarray, color: np.ndarray, wide: float) -> None:
    points = np.round(curve * 2**_SHIFT).astype(np.int32)
    thickness = max(1, int(wide))
    cv2.polylines(canvas, [points], False, color.tolist(), thickness, cv2.LINE_AA, _SHIFT)


def _lay_coin(color: np.ndarray, coin: Coin, rng: Generator) -> None:
    """Draw a two-coloured euro coin with its shadow on `color` (H, W, 3) uint8, in place."""
    radius = coin.diameter / 2
    reach = int(1.3 * radius)
    x, y = np.floor(coin.centre).astype(int) - reach
    side = 2 * reach + 2
    view = color[y : y + side, x : x + side]
    steps = (np.arange(side * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - 0.5
    across, down = np.meshgrid(steps - (coin.centre[0] - x), steps - (coin.centre[1] - y))
    ratio = (np.hypot(across, down) / radius).astype(np.float32)
    disc = (ratio <= 1).astype(np.float32)
    cover = _averaged(disc, (side, side))[..., None]
    metal = _averaged(_metal(ratio, np.arctan2(down, across), rng) * disc[..., None], (side, side))
    shift = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    shift[:, 2] = rng.normal(0, 0.03 * radius, 2)
    shadow = cv2.warpAffine(cover[..., 0], shift, (side, side))
    shadow = cv2.GaussianBlur(shadow, (0, 0), 0.05 * radius)[..., None]
    below = view * (1 - rng.uniform(0.2, 0.5) * shadow)
    view[:] = np.clip(below * (1 - cover) + metal, 0, 255)


def _metal(ratio: np.ndarray, angle: np.ndarray, rng: Generator) -> np.ndarray:
    """Colours, float32, where `ratio` is the distance to the coin's centre in radii."""
    side = len(ratio)
    core, ring = (_GOLD, _SILVER) if rng.random() < 0.5 else (_SILVER, _GOLD)
    color = np.where(ratio[..., None] < _CORE, core, ring).astype(np.float32)
    relief = sum(
        strength * _noise(rng, side, side, share * side, share * side)
        for share, strength in ((0.01, 0.5), (0.03, 1.0), (0.08, 1.0))
    )
    relief = np.where(ratio < 0.9, relief, 0.0)
    for place, width, step in ((0.97, 0.025, 2), (_CORE, 0.012, -1)):  # rim, and seam of the metals
        relief += step * np.exp(-(((ratio - place) / width) ** 2))
    relief = cv2.GaussianBlur(relief.astype(np.float32), (0, 0), 0.004 * side)
    light = rng.uniform(0, 2 * np.pi)
    down, across = np.gradient(relief)
    slope = 0.003 * side * (np.cos(light) * across + np.sin(light) * down)
    gloss = 0.12 * np.cos(2 * (angle - light)) + 0.1 * np.cos(angle - light)
    shade = rng.uniform(0.7, 1.1) * (1 + gloss + np.clip(slope, -0.5, 0.6))
    return (color * shade[..., None]).astype(np.float32)
