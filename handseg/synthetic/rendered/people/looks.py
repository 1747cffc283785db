"""How a person looks: skin tone, nails, marks, hair, clothes, and the light on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from handseg.io.images import load_image
from handseg.synthetic.rendered.body.bodies import FINGERS, HAND_BONES, SIDES, Body, topology
from handseg.synthetic.rendered.body.hands import tip_lengths
from handseg.synthetic.rendered.develop import LUMINANCE, encoded, to_linear
from handseg.synthetic.rendered.people.wardrobe import Wardrobe
from handseg.synthetic.rendered.scene import Color, Lamp, Material, Surroundings
from handseg.synthetic.rendered.take import SkinLook

MONK = [
    "f6ede4",
    "f3e7db",
    "f7ead0",
    "eadaba",
    "d7bd96",
    "a07e56",
    "825c43",
    "604134",
    "3a312a",
    "292420",
]
"""The ten tones of the Monk Skin Tone scale (https://skintone.google), light to dark, sRGB."""

_REFLECTED = 0.75
"""The scale shows skin in photos, which are exposed to look bright; skin reflects less."""


@lru_cache(maxsize=1)
def wardrobe() -> Wardrobe:
    """The wardrobe, loaded once per process."""
    return Wardrobe()


def tone(position: float) -> np.ndarray:
    """(3,) linear RGB of the Monk scale at `position`, 0 (lightest) to 9, interpolated."""
    steps = np.array([[int(code[k : k + 2], 16) for k in (0, 2, 4)] for code in MONK], np.uint8)
    linear = np.log(to_linear(steps))
    return np.exp([np.interp(position, np.arange(10), linear[:, channel]) for channel in range(3)])


@lru_cache(maxsize=32)
def hand_color(skin: str) -> np.ndarray:
    """(3,) mean linear RGB of the backs and palms of a skin's hands."""
    shape = topology()
    picture = load_image(wardrobe().skin_file(skin))
    on_hand = (shape.weight_of(*HAND_BONES) > 0.9)[shape.faces].all(1)
    u, v = shape.uv[on_hand].mean(1).T
    height, width = picture.shape[:2]
    x, y = (u * (width - 1)).astype(int), ((1 - v) * (height - 1)).astype(int)
    return to_linear(picture[y, x]).mean(0)


@dataclass(frozen=True)
class Look:
    """The parts of a person's appearance that do not change with the pose.

    Attributes:
        skin: name in the wardrobe. tone: position on the Monk scale, 0 to 9.
        albedo: share of light that the hands reflect, 0..1 (luminance).
        tint: factors on the skin's texture, linear RGB.
        hair, brows, eyes: names in the wardrobe; hair may be None. hair_color: sRGB.
        suit: garment of the wardrobe, or None for a top and trousers grown from the body.
        sleeves: where a grown top's sleeves end, (left, right): 0 shoulder, 1 wrist.
        fabric, trousers: materials of grown clothes. neck: where a grown top ends at the neck.
        nail_color: sRGB and strength 0..1. mark: "", "tattoo" or "henna". gloves: whether worn.
    """

    skin: str
    tone: float
    albedo: float
    tint: tuple[float, float, float]
    hair: str | None
    hair_color: Color
    brows: str
    eyes: str
    suit: str | None
    suit_color: Color
    sleeves: tuple[float, float]
    fabric: Material
    trousers: Material
    neck: float
    nail_color: tuple[float, float, float, float]
    mark: str
    gloves: bool
    glove: Material
    roughness: float
    specular: float
    bump: float
    bump_scale: float


def draw_look(female: bool, rng: np.random.Generator, skins: tuple[str, ...] = ()) -> Look:
    """Draw a person's look; `skins` are the allowed ones, or all."""
    closet = wardrobe()
    position = float(rng.uniform(0.5, 8.8))
    wanted = "dark" if position > 5.6 else "light"
    allowed = [name for name in (skins or closet.skins()) if f"_{wanted}" in name]
    allowed = allowed or list(skins or closet.skins())
    own = [name for name in allowed if ("female" in name) == female] or allowed
    skin = str(rng.choice(own if rng.random() < 0.8 else allowed))
    ratio = _REFLECTED * tone(position) / hand_color(skin)
    # Halfway between the scale's hue and the skin's own.
    even = float(ratio @ LUMINANCE)
    tint = np.clip(np.sqrt(ratio * even) * np.exp(rng.normal(0, [0.03, 0.03, 0.05])), 0.25, 2.2)
    albedo = float((tint * hand_color(skin)) @ LUMINANCE)
    sex = "female" if female else "male"
    suits = [name for name in closet.names("clothes") if name.startswith(sex)]
    hairs = closet.names("hair")
    dark = np.array([0.06, 0.045, 0.04])
    shades = [dark, dark, [0.2, 0.13, 0.09], [0.35, 0.22, 0.12], [0.75, 0.6, 0.4], [0.6, 0.6, 0.62]]
    hair_color = np.clip(np.array(shades[rng.integers(len(shades))]) * rng.uniform(0.7, 1.6), 0, 1)
    ends = [0.18, 0.24, 0.3, 0.42, 0.55, 0.75, 0.93, 0.97, 0.98, 1.06]
    sleeve = float(rng.choice(ends)) + float(rng.normal(0, 0.015))
    pushed = sleeve if rng.random() < 0.85 else float(rng.choice(ends))
    return Look(
        skin=skin,
        tone=position,
        albedo=albedo,
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
        hair=None if rng.random() < 0.12 else str(rng.choice(hairs)),
        hair_color=_color(hair_color),
        brows=str(rng.choice(closet.names("eyebrows"))),
        eyes=_eyes(closet, position, rng),
        suit=str(rng.choice(suits)) if suits and rng.random() < 0.4 else None,
        suit_color=_color(rng.uniform(0.4, 1.0) * rng.uniform(0.6, 1.0, 3)),
        sleeves=(sleeve, pushed),
        fabric=draw_fabric(rng),
        trousers=draw_fabric(rng),
        neck=float(rng.choice([-0.2, 0.0, 0.25, 0.5])),
        nail_color=_nails(female, rng),
        mark=str(rng.choice(["", "tattoo", "henna"], p=[0.9, 0.07, 0.03])),
        gloves=bool(rng.random() < 0.025),
        glove=draw_fabric(rng),
        roughness=float(rng.uniform(0.38, 0.68)),
        specular=float(rng.uniform(0.25, 0.6)),
        bump=float(rng.uniform(0.00015, 0.0007)),
        bump_scale=float(rng.uniform(0.0009, 0.0022)),
    )


def _color(values: np.ndarray) -> Color:
    red, green, blue = (float(value) for value in np.clip(values, 0, 1))
    return red, green, blue


def draw_fabric(rng: np.random.Generator) -> Material:
    """Draw cloth of any colour; one in ten has a skin tone."""
    if rng.random() < 0.1:
        value = encoded(tone(rng.uniform(1, 8)))
    else:
        value = rng.uniform(0.03, 1.0) * rng.uniform(0.25, 1.0, 3)
    grain = float(rng.uniform(0.0008, 0.003))
    return Material(
        _color(value), roughness=0.9, bump=float(rng.uniform(0, 0.0012)), bump_scale=grain
    )


def _eyes(closet: Wardrobe, position: float, rng: np.random.Generator) -> str:
    """Draw an eye texture: brown for most skins, and for all dark ones."""
    names = closet.eye_names()
    if position > 4.5 or rng.random() < 0.6:
        names = [name for name in names if name.startswith("brown")]
    return str(rng.choice(names))


def _nails(female: bool, rng: np.random.Generator) -> tuple[float, float, float, float]:
    if rng.random() < (0.4 if female else 0.03):
        return *_color(rng.uniform(0, 1) * rng.uniform(0.1, 1, 3)), 1.0
    return 0.95, 0.8, 0.76, float(rng.uniform(0.0, 0.3))


def skin_look(look: Look, body: Body, rng: np.random.Generator) -> SkinLook:
    """Draw the details painted on the skin of `body`: nails, knuckles, tattoos."""
    shape = topology()
    vertices, bones = body.vertices.numpy(), body.bones.numpy()
    count = len(vertices)
    nail, redness = np.full(count, -1.0, np.float32), np.zeros(count, np.float32)
    lengths = tip_lengths(body)
    for side in SIDES:
        for finger in FINGERS:
            for part in (1, 2, 3):
                number = shape.index(f"finger{finger}-{part}.{side}")
                own = shape.weights[:, number].numpy() > 0.35
                local = (vertices[own] - bones[number, :3, 3]) @ bones[number, :3, :3]
                dorsal = -np.cross(body.axes[number, 0].numpy(), [0.0, 1.0, 0.0])
                across = local - local[:, 1:2] * [0.0, 1.0, 0.0]
                radius = np.maximum(np.linalg.norm(across, axis=1), 1e-6)
                cosine = across @ dorsal / radius
                if part == 3:
                    share = local[:, 1] / lengths[f"{finger}{side}"]
                    angle = np.arccos(np.clip(cosine, -1, 1))
                    nail[own] = 1 - ((share - 0.74) / 0.27) ** 2 - (angle / 0.95) ** 2
                    redness[own] = np.maximum(redness[own], np.clip(share - 0.4, 0, 1))
                knuckle = np.exp(-((local[:, 1] / 0.008) ** 2)) * np.clip(cosine, 0, 1)
                redness[own] = np.maximum(redness[own], 0.8 * knuckle)
    mark = np.zeros(count, np.float32)
    if look.mark:
        side = str(rng.choice(SIDES))
        place = shape.weight_of("lowerarm" if rng.random() < 0.5 else "wrist", side=side)
        mark = np.clip(2 * place - 0.6, 0, 1).astype(np.float32)
    color = (0.45, 0.2, 0.08) if look.mark == "henna" else (0.08, 0.1, 0.14)
    strength = float(rng.uniform(0.2, 0.9))
    return SkinLook(
        look.tint, nail, look.nail_color, redness * strength, mark, color, look.specular
    )


def draw_lamps(target: np.ndarray, rng: np.random.Generator) -> tuple[Lamp, ...]:
    """Draw one to four lamps around `target` (3,): window, ceiling, back light, coloured light."""
    lamps = []
    back = rng.random() < 0.2
    for number in range(int(rng.integers(1, 4)) + back):
        way = rng.normal(0, 1, 3)
        way[2] = abs(way[2]) + 0.15
        way[1] = abs(way[1]) if back and number == 0 else -abs(way[1]) * rng.choice([1, 1, 1, -0.5])
        way *= rng.uniform(0.8, 2.5) / np.linalg.norm(way)
        warm = rng.uniform(-1, 1)
        color = np.array([1 + 0.15 * warm, 1.0, 1 - 0.3 * warm]) / (1 + 0.15 * abs(warm))
        if rng.random() < 0.07:
            color = rng.uniform(0.2, 1.0, 3)
        distance = float(np.linalg.norm(way))
        power = float(np.exp(rng.uniform(np.log(6), np.log(60)))) * distance**2
        size = float(np.exp(rng.uniform(np.log(0.05), np.log(1.6))))
        lamps.append(Lamp(_triple(target + way), _triple(target), power, size, _color(color)))
    return tuple(lamps)


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z


def draw_surroundings(rng: np.random.Generator) -> Surroundings:
    """Draw ambient light, cool or warm, faint or strong."""
    warm = rng.normal(0, 0.06)
    color = _color(rng.uniform(0.75, 1.0) * np.array([1 + warm, 1.0, 1 - warm]))
    return Surroundings(color, float(np.exp(rng.uniform(np.log(0.12), np.log(1.1)))))
