import numpy as np
import pytest
import torch

from handseg.synthetic.rendered import props
from handseg.synthetic.rendered.meshes import volume
from handseg.synthetic.rendered.props import (
    GRIPS,
    KINDS,
    Prop,
    draw_prop,
    ground,
    textures,
    worn,
)
from handseg.synthetic.rendered.props.materials import skin_color
from handseg.synthetic.rendered.scene import Material, Part

SEEDS = range(5)
OPEN = {"paper"}


def check_part(part: Part) -> None:
    mesh, texture = part.mesh, part.material.texture
    assert mesh.vertices.dtype == np.float32
    assert np.isfinite(mesh.vertices).all()
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.vertices)
    assert min(part.material.color) >= 0
    assert max(part.material.color) <= 1
    if texture is not None:
        assert isinstance(texture, np.ndarray)
        assert texture.dtype == np.uint8
        assert texture.shape[2] == 3
        assert max(texture.shape) <= 256
        assert mesh.uv is not None
    if mesh.uv is not None:
        assert mesh.uv.shape == (len(mesh.faces), 3, 2)
        assert np.isfinite(mesh.uv).all()


def depth(prop: Prop) -> np.ndarray:
    return prop.solid.distance(torch.as_tensor(prop.vertices())).numpy()


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("seed", SEEDS)
def test_each_kind_is_sound(kind: str, seed: int) -> None:
    prop = draw_prop(kind, np.random.default_rng(seed))
    assert prop.name
    assert set(prop.grips) <= set(GRIPS)
    assert prop.grips or kind == "keyboard"
    for part in prop.parts:
        check_part(part)
        assert kind in OPEN or volume(part.mesh)[0] > 0
    extent = np.ptp(prop.vertices(), axis=0)
    assert extent.min() > 0.0001
    assert 0.01 < extent.max() < 0.5


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_solid_covers_the_mesh_and_the_hold_lies_in_it(kind: str) -> None:
    for seed in SEEDS:
        prop = draw_prop(kind, np.random.default_rng(seed))
        assert depth(prop).max() < 0.006
        assert depth(prop).max() > -0.004
        hold = torch.as_tensor(prop.hold[None], dtype=torch.float32)
        assert prop.solid.distance(hold)[0] < 0.001


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_same_seed_gives_the_same_thing(kind: str) -> None:
    first, second = (draw_prop(kind, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.vertices(), second.vertices())
    for a, b in zip(first.parts, second.parts, strict=True):
        assert a.material.color == b.material.color
        if isinstance(a.material.texture, np.ndarray):
            assert isinstance(b.material.texture, np.ndarray)
            np.testing.assert_array_equal(a.material.texture, b.material.texture)


def test_wood_and_stone_tile_without_a_seam() -> None:
    for draw in (textures.wood, textures.marble):
        picture = draw(np.random.default_rng(1)).astype(float)
        for axis in (0, 1):
            inner = np.abs(np.diff(picture, axis=axis)).mean()
            first, last = picture.take(0, axis), picture.take(-1, axis)
            assert np.abs(first - last).mean() < 2 * inner + 0.5


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"keyboard", "spectacles", "paper"}))
def test_the_mass_centre_is_the_origin(kind: str) -> None:
    prop = draw_prop(kind, np.random.default_rng(0))
    low, high = prop.vertices().min(0), prop.vertices().max(0)
    assert (low < 0).all()
    assert (high > 0).all()


@pytest.mark.parametrize("kind", ["bottle", "card", "fork", "hammer", "pen", "phone", "scissors"])
def test_long_things_stand_along_z(kind: str) -> None:
    extent = np.ptp(draw_prop(kind, np.random.default_rng(2)).vertices(), axis=0)
    assert extent.argmax() == 2


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_moved_thing_takes_its_solid_and_hold_along(kind: str) -> None:
    rng = np.random.default_rng(3)
    prop = draw_prop(kind, rng)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    moved = prop.moved(rotation, np.array([0.1, -0.2, 0.3]))
    np.testing.assert_allclose(depth(moved), depth(prop), atol=1e-5)
    np.testing.assert_allclose(moved.hold, rotation @ prop.hold + [0.1, -0.2, 0.3])
    np.testing.assert_allclose(
        np.ptp(moved.resting().vertices(), 0), np.ptp(prop.resting().vertices(), 0), atol=1e-5
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_resting_thing_lies_on_the_table(kind: str) -> None:
    vertices = draw_prop(kind, np.random.default_rng(4)).resting(0.7, (0.2, 0.1)).vertices()
    assert vertices[:, 2].min() == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(vertices.mean(0)[:2] - [0.2, 0.1]) < 0.15
    assert vertices[:, 2].max() < 0.3


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        draw_prop("elephant", np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["bottle", "mug", "pen", "scissors"])
def test_a_share_of_the_things_has_a_body_that_looks_like_skin(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0.1 <= props.SKIN_SHARE <= 0.2
    skin = Material((0.8, 0.6, 0.5))
    monkeypatch.setattr(props, "skin_like", lambda rng: skin)
    drawn = {}
    for share in (0.0, 1.0):
        monkeypatch.setattr(props, "SKIN_SHARE", share)
        drawn[share] = draw_prop(kind, np.random.default_rng(0)).parts
    body = drawn[0.0][0].material
    for before, after in zip(drawn[0.0], drawn[1.0], strict=True):
        assert (after.material is skin) == (before.material is body)
        np.testing.assert_array_equal(before.mesh.vertices, after.mesh.vertices)


@pytest.mark.parametrize("seed", range(10))
def test_skin_tones_are_reddish_and_light_or_dark(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tones = np.array([skin_color(rng) for _ in range(50)])
    assert (tones[:, 0] > tones[:, 2]).mean() > 0.9
    assert tones[:, 1].min() < 0.35 < 0.65 < tones[:, 1].max()


def test_coins_have_their_real_sizes() -> None:
    sizes = {worn.coin(np.random.default_rng(seed))[1] for seed in range(200)}
    assert {23.25, 25.75, 24.26, 16.25} <= sizes
    part, diameter = worn.coin(np.random.default_rng(0))
    check_part(part)
    extent = np.ptp(part.mesh.vertices, 0)
    np.testing.assert_allclose(extent[:2], diameter / 1000, rtol=2e-3)
    assert 0.001 < extent[2] < 0.003
    assert volume(part.mesh)[0] > 0


def test_a_card_for_scale_has_the_size_of_the_standard() -> None:
    part = worn.id_card(np.random.default_rng(0))
    check_part(part)
    extent = np.ptp(part.mesh.vertices, 0)
    np.testing.assert_allclose(extent, [0.0856, 0.05398, 0.00076], rtol=1e-3)


@pytest.mark.parametrize("seed", range(12))
def test_jewellery_goes_around_its_limb_without_touching_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for parts, radii in (
        (worn.ring(0.009, rng), (0.009, 0.009)),
        (worn.bracelet((0.030, 0.022), rng), (0.030, 0.022)),
        (worn.watch((0.030, 0.022), rng), (0.030, 0.022)),
    ):
        for part in parts:
            check_part(part)
            assert volume(part.mesh)[0] > 0
            inside = (part.mesh.vertices[:, :2] / np.array(radii)) ** 2
            assert np.sqrt(inside.sum(1)).min() > 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_spectacles_have_their_width_and_reach_the_ears(seed: int) -> None:
    parts = worn.glasses(np.random.default_rng(seed), width=0.15)
    vertices = np.concatenate([part.mesh.vertices for part in parts])
    for part in parts:
        check_part(part)
        assert volume(part.mesh)[0] > 0
    assert np.ptp(vertices[:, 0]) == pytest.approx(0.15, abs=0.006)
    assert 0.12 < vertices[:, 1].max() < 0.17
    assert vertices[:, 1].min() > -0.02
    assert abs(vertices[:, 0].mean()) < 0.001


@pytest.mark.parametrize("seed", range(20))
def test_the_ground_is_a_table_top_at_zero(seed: int) -> None:
    part = ground(np.random.default_rng(seed))
    check_part(part)
    low, high = part.mesh.vertices.min(0), part.mesh.vertices.max(0)
    np.testing.assert_allclose(high, [0.6, 0.4, 0], atol=1e-6)
    np.testing.assert_allclose(low[:2], [-0.6, -0.4], atol=1e-6)
