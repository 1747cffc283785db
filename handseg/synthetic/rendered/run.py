"""A folder of rendered pictures: what each shows, which are missing, how they are written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handseg.errors import RenderingError
from handseg.io.files import find_images, save_image
from handseg.io.images import load_image
from handseg.runtime.files import find_unfinished, write_atomic
from handseg.synthetic.rendered.body.posing import UnreachableError
from handseg.synthetic.rendered.people.looks import wardrobe
from handseg.synthetic.rendered.props import KINDS
from handseg.synthetic.rendered.scenes import SCENES, Cast
from handseg.synthetic.rendered.take import Take
from handseg.synthetic.rendered.truth import Truth

SETTINGS_FILE = "settings.json"
FOLDERS = ("images", "masks", "object_masks", "instances", "classes", "truth")
VIEWS = 3
"""Pictures per pose."""
_TRIES = 60
_HELD_OUT_SKINS = ("old_darkskinned_male_diffuse", "young_lightskinned_female_diffuse3")
_FOLDS = 5


@dataclass(frozen=True)
class Settings:
    """Settings that determine every picture of a folder.

    Attributes:
        count: number of pictures. seed: seed of all of them. size: px, width and height.
        scenes: names, see `scenes.SCENES`; they take turns.
        backgrounds: folder of background photos, or "".
        held_out: whether to use the skins and objects that no other set shows.
    """

    count: int
    seed: int
    size: int
    scenes: tuple[str, ...]
    backgrounds: str
    held_out: bool

    def __post_init__(self) -> None:
        if self.count < 1:
            raise RenderingError(f"count must be at least 1, got {self.count}")
        if not 64 <= self.size <= 4096:
            raise RenderingError(f"size must be 64 to 4096 px, got {self.size}")
        if self.seed < 0:
            raise RenderingError(f"seed must be 0 or more, got {self.seed}")
        unknown = [name for name in self.scenes if name not in SCENES]
        if unknown or not self.scenes:
            got = ", ".join(unknown) or "none"
            raise RenderingError(f"scenes must be of {', '.join(SCENES)}, got {got}")
        if self.backgrounds and not Path(self.backgrounds).is_dir():
            raise RenderingError(f"backgrounds: no folder {self.backgrounds}")
        if self.backgrounds and not self.photos():
            raise RenderingError(
                f"backgrounds: {self.backgrounds} holds too few photos, every fifth photo is kept "
                "for --held-out"
            )

    @property
    def takes(self) -> int:
        """Number of poses that the pictures need."""
        return -(-self.count // VIEWS)

    def cast(self) -> Cast:
        """People and objects that the pictures may show."""
        skins = [name for name in wardrobe().skins() if (name in _HELD_OUT_SKINS) == self.held_out]
        props = [
            kind
            for number, kind in enumerate(sorted(KINDS))
            if (number % _FOLDS == 0) == self.held_out
        ]
        return Cast(tuple(skins), tuple(props))

    def photos(self) -> list[Path]:
        """Background files; every fifth is for held-out sets only.

        Raises:
            ImageError: if the folder holds no image.
        """
        if not self.backgrounds:
            return []
        found = find_images([self.backgrounds], recursive=True)
        return [
            path for number, path in enumerate(found) if (number % _FOLDS == 0) == self.held_out
        ]


def open_folder(folder: Path, settings: Settings) -> None:
    """Make the folder, or check that it has these settings, except for `count`.

    Raises:
        RenderingError: if the folder has pictures with other settings, or other files.
    """
    file = folder / SETTINGS_FILE
    given = json.loads(json.dumps(asdict(settings)))
    if file.is_file():
        stored = json.loads(file.read_text())
        other = [key for key in given if key != "count" and stored.get(key) != given[key]]
        if other:
            told = ", ".join(f"{key} {stored.get(key)!r}" for key in other)
            raise RenderingError(f"{folder} was made with {told}; choose another folder")
    elif folder.exists() and set(folder.iterdir()) - set(find_unfinished(folder)):
        raise RenderingError(f"{folder} is not empty and not a folder of rendered pictures")
    # First: a folder that has it can be continued.
    with write_atomic(file) as temporary:
        temporary.write_text(json.dumps(given, indent=1) + "\n")
    for name in FOLDERS:
        (folder / name).mkdir(exist_ok=True)


def picture_id(settings: Settings, number: int) -> str:
    """Name of picture `number`: scene, take and view."""
    take, view = divmod(number, VIEWS)
    return f"{settings.scenes[take % len(settings.scenes)]}_{settings.seed}_{take:06d}_{view}"


def find_records(folder: Path) -> list[Path]:
    """Find the records of all pictures, sorted, but not those half-written by killed processes."""
    return sorted((folder / "truth").glob("[!.]*.json"))


def missing(folder: Path, settings: Settings) -> list[int]:
    """Numbers of the takes with missing pictures. A picture's labels are written last."""
    done = {path.stem for path in find_records(folder)}
    return [
        take
        for take in range(settings.takes)
        if any(picture_id(settings, number) not in done for number in numbers_of(settings, take))
    ]


def numbers_of(settings: Settings, take: int) -> range:
    """Numbers of a take's pictures."""
    return range(take * VIEWS, min((take + 1) * VIEWS, settings.count))


def draw_take(settings: Settings, take: int) -> tuple[Take, int]:
    """Draw pose number `take`; return it and the number of earlier draws that no body could do.

    It depends only on the settings, except for `count`, and the number.

    Raises:
        RenderingError: if no draw succeeds.
    """
    draw = SCENES[settings.scenes[take % len(settings.scenes)]]
    cast = settings.cast()
    for attempt in range(_TRIES):
        rng = np.random.default_rng([settings.seed, int(settings.held_out), take, attempt])
        try:
            return draw(rng, cast), attempt
        except UnreachableError:
            continue
    raise RenderingError(f"take {take}: no body could do any of {_TRIES} draws")


CLASSES = ("background", "hand", "forearm", "face", "skin", "object", "worn")
"""Values of `classes/ID.png`, in their order; where two apply, the later is written, but worn
rings stay part of the hand."""


def write_picture(
    folder: Path,
    settings: Settings,
    number: int,
    image: np.ndarray,
    truth: Truth,
    take: Take,
    noted: dict[str, Any],
) -> None:
    """Write a picture and its labels; the record in `truth/` comes last.

    Args:
        image: (S, S, 3) uint8 RGB. noted: further entries of the record.
    """
    name = picture_id(settings, number)
    classes = np.zeros(truth.hand.shape, np.uint8)
    for value, label in enumerate(CLASSES[1:], 1):
        classes[getattr(truth, label)] = value
    record = {
        "id": name,
        "scene": settings.scenes[(number // VIEWS) % len(settings.scenes)],
        "take": number // VIEWS,
        "seed": settings.seed,
        **truth.camera,
        **noted,
        "hands": truth.hands,
        "notes": take.notes,
    }
    pictures = {
        f"images/{name}.jpg": cv2.imencode(
            ".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95]
        ),
        f"masks/{name}.png": cv2.imencode(".png", truth.hand.astype(np.uint8) * 255),
        f"object_masks/{name}.png": cv2.imencode(".png", truth.object.astype(np.uint8) * 255),
        f"instances/{name}.png": cv2.imencode(".png", truth.instances),
        f"classes/{name}.png": cv2.imencode(".png", classes),
    }
    for path, (_, encoded) in pictures.items():
        with write_atomic(folder / path) as temporary:
            temporary.write_bytes(encoded.tobytes())
    with write_atomic(folder / "truth" / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(record))


def finish(folder: Path) -> Path:
    """Write `groups.csv`, for splits, and the contact sheet; return the sheet's path.

    All pictures of a take show the same people and form a group. Half-written files of killed
    processes are removed.
    """
    for path in find_unfinished(folder):
        path.unlink(missing_ok=True)
    names = [path.stem for path in find_records(folder)]
    # By hand: Blender's NumPy 1 rules out pyarrow, which the data set code needs.
    rows = ["id,group", *(f"{name},{name.rpartition('_')[0]}" for name in names)]
    with write_atomic(folder / "groups.csv") as temporary:
        temporary.write_text("\n".join(rows) + "\n")
    sheet = folder / "sheet.jpg"
    save_image(draw_sheet(folder, names), sheet)
    return sheet


def draw_sheet(folder: Path, names: list[str], columns: int = 8, rows: int = 7) -> np.ndarray:
    """Draw an even selection of `names` with outlines, as (H, W, 3) uint8 RGB."""
    side = 224
    shown = names[:: max(1, len(names) // (columns * rows))][: columns * rows]
    sheet = np.full((-(-len(shown) // columns) * side, columns * side, 3), 30, np.uint8)
    for place, name in enumerate(shown):
        image = load_image(folder / "images" / f"{name}.jpg")
        for kind, color in (("object_masks", (255, 0, 255)), ("masks", (0, 255, 0))):
            mask = load_image(folder / kind / f"{name}.png")[..., 0]
            outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(image, outlines, -1, color, 2)
        row, column = divmod(place, columns)
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = small
    return sheet
