r"""Make a data set of hands that hold an object or nothing, with exact masks of both.

    python -m handseg.synthetic.pasted.held_dataset DATA OUTPUT --count 1500 --scenes 500 \
        --validation 200 --seed 0

writes OUTPUT/images, masks, object_masks and groups.csv, which `handseg finetune` reads as layout
"folder", and OUTPUT/splits.json: the parts "train" and "val" share no person, background or kind of
object. An interrupted run resumes where it stopped: a picture depends only on its part, its number
and the seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from handseg.data.groups import GROUPS_FILE, write_groups
from handseg.data.image_mask import find_pairs
from handseg.data.loaders.folder import IMAGES, MASKS, OBJECT_MASKS
from handseg.data.splits import TRAIN, VALIDATION, Splits
from handseg.errors import reason
from handseg.io.files import IMAGE_SUFFIXES
from handseg.runtime.files import write_atomic
from handseg.runtime.progress import tracked
from handseg.runtime.run_folder import CACHE, RunFolder
from handseg.runtime.terminal import FAILED, fail, running, say_stopped
from handseg.runtime.threads import one_opencv_thread
from handseg.synthetic.pasted.held_compositor import HeldComposer, HeldSample
from handseg.synthetic.pasted.sources import LANDMARKS, add_landmarks

SCENES = "scene"
"""Name of training pictures that show whole photos, changed only by the object."""
SETS = {
    TRAIN: {"massey_asl": 0.8, "rps_green": 0.2},
    SCENES: {"epsrc_comp": 0.7, "rps_green": 0.3},
    VALIDATION: {"massey_asl": 1.0},
}
"""For each kind of picture: folders of pairs in DATA/train -> share of hands taken from them."""
HELD_OUT_HAND = "massey_asl/hand5_"
"""Prefix of the ids of hands that only validation shows: those of one person."""
HELD_OUT_BACKGROUND = "plasma"
SPLITS_FILE = "splits.json"
_FOLDS = 5
_NUMBERS = {TRAIN: 0, VALIDATION: 1, SCENES: 2}  # Part of each picture's seed.


def in_validation(object_file: Path) -> bool:
    """Tell whether only validation shows this object; all objects of a kind are in one part.

    Files are named by kind, such as `food-fruit-orange.png`; the last word is not part of the kind.
    """
    kind = object_file.stem.rpartition("-")[0]
    return zlib.crc32(kind.encode()) % _FOLDS == 0


def make_composer(data: Path, kind: str, cache: Path) -> HeldComposer:
    """Make the composer of one kind of `SETS`.

    Validation shares no source with the other kinds. Only training shows objects drawn by code;
    validation shows pictures of objects, of kinds that training lacks. Landmarks found on the
    photos of `data` are kept in `cache`.

    Raises:
        ValueError: if a folder is missing or has nothing for this kind.
    """
    validation = kind == VALIDATION
    pairs = [
        pair
        for name in SETS[kind]
        for pair in find_pairs(data / "train" / name)
        if pair.id.startswith(HELD_OUT_HAND) == validation
    ]
    examples = add_landmarks(pairs, cache / LANDMARKS)
    hands = [example for example in examples if example.landmarks is not None]
    backgrounds = [
        file
        for file in _files(data / "backgrounds")
        if file.name.startswith(HELD_OUT_BACKGROUND) == validation
    ]
    objects = [file for file in _files(data / "objects") if in_validation(file) == validation]
    for what, found in (("hand", hands), ("background", backgrounds), ("object", objects)):
        if not found:
            raise ValueError(f"{data} holds no {what} for pictures of the kind {kind!r}")
    return HeldComposer(
        hands,
        backgrounds,
        objects,
        SETS[kind],
        as_scenes=kind == SCENES,
        empty_share=0.5 if kind == SCENES else 0.3,
        drawn_share=0.0 if validation else 0.5,
    )


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"expected the folder {folder}")
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)


def make_held(
    composers: Mapping[str, HeldComposer], counts: Mapping[str, int], output: Path, seed: int
) -> None:
    """Write the pictures missing in `output`, and the groups and splits of all.

    Args:
        composers: by kind of `SETS`.
        counts: total number of pictures, by kind.
        output: folder of the data set.
        seed: seed of all pictures.

    Raises:
        RunMismatch: if `output` holds pictures made with another seed, or other files.
    """
    run = RunFolder(output, {"seed": seed})
    run.claim()
    with one_opencv_thread():
        parts = _make_parts(composers, counts, output, seed)
    groups = {stem: part for part, stems in parts.items() for stem in stems}
    write_groups(groups, output / GROUPS_FILE)
    Splits(parts, groups, seed=seed).save(output / SPLITS_FILE)
    run.end()


def _make_parts(
    composers: Mapping[str, HeldComposer], counts: Mapping[str, int], output: Path, seed: int
) -> dict[str, tuple[str, ...]]:
    """Write the missing pictures; return the stems of all pictures by part."""
    parts: dict[str, tuple[str, ...]] = {TRAIN: (), VALIDATION: ()}
    for kind, composer in composers.items():
        stems = tuple(f"{kind}_{index:05d}" for index in range(counts[kind]))
        for index, stem in enumerate(tracked(stems, f"held objects, {kind}")):
            # The photo is written last: if it exists, so do its masks.
            if not (output / IMAGES / f"{stem}.jpg").is_file():
                rng = np.random.default_rng([seed, _NUMBERS[kind], index])
                _write(composer.sample(rng), output, stem)
        parts[VALIDATION if kind == VALIDATION else TRAIN] += stems
    return parts


def _write(sample: HeldSample, output: Path, stem: str) -> None:
    for folder, mask in ((MASKS, sample.hand), (OBJECT_MASKS, sample.held)):
        with write_atomic(output / folder / f"{stem}.png") as temporary:
            Image.fromarray(mask).save(temporary, "PNG")
    with write_atomic(output / IMAGES / f"{stem}.jpg") as temporary:
        Image.fromarray(sample.image).save(temporary, "JPEG", quality=93)


def main(
    data: Annotated[Path, typer.Argument(help="Folder with train/, backgrounds/ and objects/.")],
    output: Annotated[Path, typer.Argument(help="Folder to write; an interrupted run resumes.")],
    count: Annotated[int, typer.Option(min=1, help="Pictures to train on.")],
    scenes: Annotated[int, typer.Option(min=0, help="Photos as they are, likewise.")] = 0,
    validation: Annotated[int, typer.Option(min=1, help="Pictures to validate on.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of all pictures.")] = 0,
) -> None:
    """Make a data set of hands that hold things, or nothing, with exact masks of both."""
    counts = {TRAIN: count, SCENES: scenes, VALIDATION: validation}
    with running("synthetic.pasted.held_dataset"):
        try:
            RunFolder(output, {"seed": seed})  # Refuses another folder before landmarks are sought.
            composers = {
                kind: make_composer(data, kind, output / CACHE) for kind in counts if counts[kind]
            }
            make_held(composers, counts, output, seed)
        except ValueError as error:
            fail(reason(error))
        except OSError as error:
            say_stopped(output, error)
            raise typer.Exit(FAILED) from error


if __name__ == "__main__":
    typer.run(main)
