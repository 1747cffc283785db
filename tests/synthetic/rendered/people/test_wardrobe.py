"""Garments fit bodies of all shapes in all poses; shells have straight hems."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from handseg.synthetic.rendered.people.grown_garments import boundary, clip, subdivide
from handseg.synthetic.rendered.people.wardrobe import (
    ASSETS,
    KINDS,
    BodyShape,
    Field,
    Wardrobe,
    shell,
)
from handseg.synthetic.rendered.scene import Part

PHENOTYPES = {
    "adult": {},
    "child": {"age": 0.3},
    "baby": {"age": 0.0},
    "heavy": {"age": 0.9, "weight": 1.0, "gender": 1.0},
}
BENT = {
    "upperarm01.L": (0.3, 0.4, 0), "lowerarm01.L": (-1.8, 0, 0), "lowerarm01.R": (-1.2, 0, 0.3),
    "spine03": (0, 0.3, 0.2), "head": (0.2, 0.4, 0),
}  # fmt: skip


@lru_cache(maxsize=1)
def wardrobe() -> Wardrobe:
    return Wardrobe()


@lru_cache(maxsize=1)
def model():
    return (
        pytest.importorskip("anny")
        .Anny(pose_parameterization="local-bone", phenotypes="all", skinning_method="lbs")
        .float()
    )


@lru_cache(maxsize=8)
def body(phenotype: str = "adult", bent: bool = False) -> BodyShape:
    anny_model = model()
    import torch

    pose = torch.eye(4).repeat(1, len(anny_model.bone_labels), 1, 1)
    for bone, vector in BENT.items() if bent else ():
        x, y, z = vector
        skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float32)
        pose[0, anny_model.bone_labels.index(bone), :3, :3] = torch.linalg.matrix_exp(skew)
    values = {label: torch.tensor([value]) for label, value in PHENOTYPES[phenotype].items()}
    with torch.no_grad():
        result = anny_model(pose, phenotype_kwargs=values)
    moves = result["bone_poses"][0] @ torch.linalg.inv(result["rest_bone_poses"][0])
    return BodyShape(
        result["rest_vertices"][0].numpy(), result["vertices"][0].numpy(), moves.numpy()
    )


def distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance from each point to the nearest of the others, (N,) metres."""
    parts = np.array_split(points.astype(np.float32), max(1, len(points) // 100))
    square = (others.astype(np.float32) ** 2).sum(1)
    nearest = [
        (square - 2 * part @ others.astype(np.float32).T).min(1) + (part**2).sum(1)
        for part in parts
    ]
    return np.sqrt(np.maximum(np.concatenate(nearest), 0))


def all_garments() -> list[str]:
    return [name for kind in KINDS for name in wardrobe().names(kind)]


def test_assets_are_small_and_licensed():
    files = [path for path in ASSETS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 9e6
    assert "CC0" in (ASSETS / "LICENSE.txt").read_text()


def test_names():
    assert len(wardrobe().names("clothes")) == 10
    assert len(wardrobe().names("hair")) == 6
    assert len(wardrobe().names("eyebrows")) == 4
    assert all(wardrobe().skin_file(name).is_file() for name in wardrobe().skins())
    assert len(wardrobe().skins()) == 11
    with pytest.raises(ValueError, match="sock"):
        wardrobe().covered("sock")
    with pytest.raises(ValueError, match="hats"):
        wardrobe().names("hats")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="none_eye"):
        wardrobe().eye_texture("none_eye")


@pytest.mark.parametrize("phenotype", PHENOTYPES)
@pytest.mark.parametrize("bent", [False, True])
def test_garments_stay_near_the_body(phenotype: str, bent: bool):
    figure = body(phenotype, bent)
    for name in all_garments():
        part = wardrobe().dress(name, figure)
        away = distances(part.mesh.vertices[::7], figure.vertices)
        # A braid and a skirt hang freely.
        assert np.quantile(away, 0.9) < 0.06, name
        assert away.max() < 0.17, name
        assert np.isfinite(part.mesh.uv).all()


@pytest.mark.parametrize("name", ["male_casualsuit02", "male_elegantsuit01", "short01"])
def test_bending_does_not_tear(name: str):
    straight = wardrobe().dress(name, body()).mesh
    bent = wardrobe().dress(name, body(bent=True)).mesh

    def lengths(vertices: np.ndarray) -> np.ndarray:
        corner = vertices[straight.faces]
        return np.linalg.norm(corner - np.roll(corner, 1, axis=1), axis=2).ravel()

    grown = lengths(bent.vertices) - lengths(straight.vertices)
    assert np.quantile(np.abs(grown), 0.95) < 0.015
    assert grown.max() < 0.08


def test_garments_move_with_the_body():
    figure = body()
    turn = np.array([[0, -1, 0, 0.3], [1, 0, 0, -0.2], [0, 0, 1, 1.0], [0, 0, 0, 1]], np.float32)
    moved = BodyShape(
        figure.rest_vertices, figure.vertices @ turn[:3, :3].T + turn[:3, 3],
        turn @ figure.bone_transforms,
    )  # fmt: skip
    for name in ("female_casualsuit01", "bob02", "eyebrow001"):
        before, after = (wardrobe().dress(name, shape).mesh.vertices for shape in (figure, moved))
        np.testing.assert_allclose(after, before @ turn[:3, :3].T + turn[:3, 3], atol=1e-5)


def test_covered_leaves_hands_and_head_bare():
    left, right, height, neck = wardrobe().fields
    for name in wardrobe().names("clothes"):
        covered = wardrobe().covered(name)
        assert 0.03 < covered.mean() < 0.6, name
        assert not covered[np.maximum(left, right) > 1.05].any(), name
        assert not covered[(neck > 1) & (height > 1)].any(), name
    for name in wardrobe().names("eyebrows"):
        assert not wardrobe().covered(name).any()


def test_same_input_same_output():
    figure = body("child", bent=True)
    for make in (
        lambda clothes: clothes.dress("male_worksuit01", figure).mesh,
        lambda clothes: clothes.shell(figure, clothes.top((0.4, 1.0)), 0.008, seed=3),
        lambda clothes: clothes.eyes("green_eye", figure).mesh,
    ):
        first, second = make(wardrobe()), make(Wardrobe())
        np.testing.assert_array_equal(first.vertices, second.vertices)
        np.testing.assert_array_equal(first.faces, second.faces)


def test_eyes_show_an_iris():
    part: Part = wardrobe().eyes("blue_eye", body())
    assert wardrobe().eye_faces().sum() == len(part.mesh.faces) == 280
    assert part.mesh.uv.min() >= 0
    assert part.mesh.uv.max() <= 1
    used = np.unique(part.mesh.faces)
    front = used[np.argsort(body().vertices[used, 1])[:6]]
    corners = np.isin(part.mesh.faces, front)
    irises = np.array([(0.707, 0.705), (0.293, 0.297)])
    assert distances(part.mesh.uv[corners], irises).max() < 0.12


def test_arm_fields_grow_from_shoulder_to_wrist():
    fields, template = wardrobe().fields, wardrobe().template
    for row, side in ((Field.LEFT_ARM, 1), (Field.RIGHT_ARM, -1)):
        worn = fields[row] > 0.3
        assert (side * template[worn, 0] > 0.15).all()
        tips = np.argmax(side * template[:, 0])
        assert 1.2 < fields[row, tips] < 1.6
    mirrored = np.sort(fields[Field.LEFT_ARM]), np.sort(fields[Field.RIGHT_ARM])
    np.testing.assert_allclose(*mirrored, atol=1e-3)


def plane(size: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Make a square of size 1 in the xy plane from triangles."""
    axis = np.linspace(0, 1, size)
    places = np.stack([*np.meshgrid(axis, axis), np.zeros((size, size))], -1).reshape(-1, 3)
    start = (np.arange(size - 1)[:, None] * size + np.arange(size - 1)).ravel()
    ends = start + 1, start + size, start + size + 1
    faces = np.stack([start, ends[0], ends[2], start, ends[2], ends[1]], 1).reshape(-1, 3)
    return places, faces


def area(vertices: np.ndarray, faces: np.ndarray) -> float:
    corner = vertices[faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    assert (across[:, 2] > -1e-9).all()
    return float(across[:, 2].sum() / 2)


@pytest.mark.parametrize("level", [0.0, 0.13, 0.5, 0.77])
def test_clip_cuts_along_the_level(level: float):
    vertices, faces = plane()
    cut, kept = clip(vertices, faces, vertices[:, 0] - level)
    assert cut[:, 0].min() == pytest.approx(level, abs=1e-5)
    assert area(cut, kept) == pytest.approx(1 - level, abs=1e-4)
    cut, kept = clip(vertices, faces, vertices[:, 0] + 0.5 * vertices[:, 1] - level)
    rim = cut[np.unique(boundary(kept))]
    inner = ((rim[:, :2] > 1e-4) & (rim[:, :2] < 1 - 1e-4)).all(1)
    np.testing.assert_allclose(rim[inner] @ [1, 0.5, 0], level, atol=1e-5)


def test_subdivide_keeps_the_surface():
    vertices, faces = plane(3)
    finer, split = subdivide(vertices, faces)
    assert len(split) == 4 * len(faces)
    assert area(finer, split) == pytest.approx(1)
    assert len(boundary(split)) == 2 * len(boundary(faces))


@pytest.mark.parametrize("length", [0.3, 0.55, 0.9])
def test_hems_are_straight(length: float):
    clothes, level = wardrobe(), clothes_level(length)
    stacked = np.concatenate([clothes.template, clothes.fields.T], 1)
    cut, kept = clip(stacked, clothes.faces, level)
    rim = cut[np.unique(boundary(kept))]
    cuffs = rim[np.maximum(rim[:, 3], rim[:, 4]) > length - 0.02]
    assert len(cuffs) > 20
    np.testing.assert_allclose(cuffs[:, 3:5].max(1), length, atol=1e-3)


def clothes_level(length: float) -> np.ndarray:
    return wardrobe().top(sleeves=(length, length))


@pytest.mark.parametrize("phenotype", ["adult", "child"])
def test_shells_lie_outside_the_skin(phenotype: str):
    figure = body(phenotype, bent=True)
    for mesh in (
        wardrobe().shell(figure, wardrobe().top((0.9, 0.4)), 0.008),
        wardrobe().shell(figure, wardrobe().trousers(0.05, 0.62), 0.004, folds=0.003, seed=1),
        wardrobe().shell(figure, wardrobe().glove("left"), 0.003, loose=2, folds=0.001),
    ):
        away = distances(mesh.vertices, figure.vertices)
        assert np.quantile(away, 0.99) < 0.05
        assert mesh.faces.max() < len(mesh.vertices)
        assert np.isfinite(mesh.vertices).all()


def test_shell_of_a_mask_and_of_a_plane():
    vertices, faces = plane()
    mask = vertices[:, 0] > 0.4
    mesh = shell(vertices, faces, mask, 0.01, folds=0.0)
    assert mesh.vertices[:, 2].max() == pytest.approx(0.01, abs=1e-6)
    # The hem turns back towards the skin.
    assert mesh.vertices[:, 2].min() == pytest.approx(0.003, abs=1e-6)
    assert mesh.vertices[:, 0].min() == pytest.approx(0.4375, abs=1e-6)
