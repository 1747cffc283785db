import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.synthetic.rendered.meshes import (
    ellipsoid,
    grid,
    lathe,
    merge,
    rounded_box,
    tube,
    volume,
)
from handseg.synthetic.rendered.props.shapes import (
    extruded,
    fillet,
    rounded_rectangle,
    triangulate,
    turned,
)
from handseg.synthetic.rendered.scene import Mesh

lengths = st.floats(0.002, 0.5)


def is_watertight(mesh: Mesh) -> bool:
    """Whether each edge is traversed once in each direction."""
    edges = {(int(f[k - 1]), int(f[k])) for f in mesh.faces for k in range(3)}
    return len(edges) == 3 * len(mesh.faces) and all((b, a) in edges for a, b in edges)


def check(mesh: Mesh, expected: float, share: float) -> None:
    assert is_watertight(mesh)
    assert volume(mesh)[0] == pytest.approx(expected, rel=share)
    assert mesh.vertices.dtype == np.float32
    assert mesh.faces.dtype == np.int32
    assert mesh.uv is not None
    assert mesh.uv.shape == (len(mesh.faces), 3, 2)
    assert mesh.uv.min() >= -1e-6
    assert mesh.uv.max() <= 1 + 1e-6


@settings(max_examples=25, deadline=None)
@given(st.tuples(lengths, lengths, lengths))
def test_an_ellipsoid_has_its_volume(radii: tuple[float, float, float]) -> None:
    check(ellipsoid(radii, 48, 32), 4 / 3 * np.pi * np.prod(radii), 0.02)


@settings(max_examples=25, deadline=None)
@given(st.tuples(lengths, lengths, lengths), st.floats(0.02, 0.3), st.booleans())
def test_a_rounded_box_lies_between_its_core_and_the_sharp_box(
    size: tuple[float, float, float], share: float, atlas: bool
) -> None:
    radius = share * min(size)
    mesh = rounded_box(size, radius, atlas=atlas)
    a, b, c = np.array(size) - 2 * radius
    faces, edges = 2 * (a * b + b * c + c * a), a + b + c
    exact = a * b * c + radius * faces + np.pi * radius**2 * edges + 4 / 3 * np.pi * radius**3
    check(mesh, exact, 0.02)
    np.testing.assert_allclose(np.ptp(mesh.vertices, 0), size, rtol=1e-4)


def test_a_boxs_sides_show_the_texture_upright_and_unmirrored() -> None:
    mesh = rounded_box((0.2, 0.1, 0.3), 0.01)
    assert mesh.uv is not None
    centres = mesh.vertices[mesh.faces].mean(1)
    for axis, sign, right in ((1, -1, (0, 1)), (1, 1, (0, -1)), (0, 1, (1, 1)), (0, -1, (1, -1))):
        side = centres[:, axis] * sign > np.array([0.2, 0.1, 0.3])[axis] / 2 - 1e-4
        corners, uv = mesh.vertices[mesh.faces][side], mesh.uv[side]
        across = corners[..., right[0]] * right[1]
        assert np.corrcoef(across.ravel(), uv[..., 0].ravel())[0, 1] > 0.99
        assert np.corrcoef(corners[..., 2].ravel(), uv[..., 1].ravel())[0, 1] > 0.99


def test_a_lathed_cylinder_and_a_hollow_one() -> None:
    radius, height, wall = 0.03, 0.1, 0.004
    outer = [(0, 0), (radius, 0), (radius, height)]
    full = lathe(np.array([*outer, (0, height)]), 96)
    check(full, np.pi * radius**2 * height, 0.01)
    inner = [(radius - wall, height), (radius - wall, wall), (0, wall)]
    hollow = np.pi * (radius**2 * height - (radius - wall) ** 2 * (height - wall))
    check(lathe(np.array([*outer, *inner]), 96), hollow, 0.01)
    rounded = turned([*outer, (0, height)], 0.002, 96)
    assert 0.98 * volume(full)[0] < volume(rounded)[0] < volume(full)[0]


def test_a_lathes_texture_runs_to_the_right_seen_from_outside() -> None:
    mesh = lathe(np.array([(0.1, 0.0), (0.1, 0.2)]), 32)
    assert mesh.uv is not None
    corners = mesh.vertices[mesh.faces]
    front = corners[..., 1].max(1) < -0.05
    assert np.corrcoef(corners[front][..., 0].ravel(), mesh.uv[front][..., 0].ravel())[0, 1] > 0.9
    assert np.corrcoef(corners[front][..., 2].ravel(), mesh.uv[front][..., 1].ravel())[0, 1] > 0.9


@settings(max_examples=25, deadline=None)
@given(st.floats(0.002, 0.02), st.floats(0.05, 0.3), st.integers(0, 10**6))
def test_a_straight_tube_in_any_direction(radius: float, length: float, seed: int) -> None:
    way = np.random.default_rng(seed).standard_normal(3)
    path = np.linspace(0, length, 12)[:, None] * way / np.linalg.norm(way)
    exact = np.pi * radius**2 * length + 4 / 3 * np.pi * radius**3
    check(tube(path, radius, 48), exact, 0.03)


def test_a_closed_tube_is_a_torus_and_open_ends_stay_open() -> None:
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    path = 0.05 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    check(tube(path, 0.004, 48, closed=True), 2 * np.pi**2 * 0.05 * 0.004**2, 0.02)
    assert not is_watertight(tube(path[:40], 0.004, caps=False))


def test_a_tubes_second_width_lies_along_up() -> None:
    path = np.stack([np.linspace(0, 0.2, 8), np.zeros(8), np.zeros(8)], -1)
    mesh = tube(path, np.repeat([[0.01, 0.002]], 8, 0), 32)
    np.testing.assert_allclose(np.ptp(mesh.vertices, 0)[1:], [0.02, 0.004], rtol=1e-3)


def test_a_grid_faces_up_and_keeps_its_area_when_curled() -> None:
    def area(mesh: Mesh) -> float:
        a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    flat, curled = grid(0.2, 0.3, 24), grid(0.2, 0.3, 24, curl=2.0)
    a, b, c = flat.vertices[flat.faces].transpose(1, 0, 2)
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()
    assert area(flat) == pytest.approx(0.06)
    assert area(curled) == pytest.approx(0.06, rel=0.01)
    heights = np.random.default_rng(0).normal(0, 0.001, (24, 24))
    np.testing.assert_allclose(
        np.sort(grid(0.2, 0.3, 24, heights).vertices[:, 2]), np.sort(heights.ravel()), atol=1e-6
    )


def test_merged_meshes_keep_their_faces_and_add_their_volumes() -> None:
    ball = ellipsoid((0.01, 0.01, 0.01))
    shifted = ball.moved(np.eye(3), np.array([0.1, 0, 0]))
    both = merge([ball, shifted])
    assert len(both.faces) == 2 * len(ball.faces)
    assert volume(both)[0] == pytest.approx(2 * volume(ball)[0], rel=1e-4)
    np.testing.assert_allclose(volume(both)[1], [0.05, 0, 0], atol=1e-6)
    assert both.uv is not None
    assert merge([ball, Mesh(ball.vertices, ball.faces)]).uv is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 30))
def test_triangles_cover_any_star_shaped_polygon(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    angle = (np.arange(count) + rng.uniform(-0.3, 0.3, count)) * 2 * np.pi / count
    reach = rng.uniform(0.3, 1, count)
    outline = np.stack([reach * np.cos(angle), reach * np.sin(angle)], -1)
    a, b, c = outline[triangulate(outline)].transpose(1, 0, 2)
    areas = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    ahead = np.roll(outline, -1, 0)
    whole = (outline[:, 0] * ahead[:, 1] - outline[:, 1] * ahead[:, 0]).sum() / 2
    assert (areas > -1e-12).all()
    assert areas.sum() == pytest.approx(whole)


def test_a_plate_has_its_outlines_volume() -> None:
    exact = 0.005 * (0.1 * 0.06 - (4 - np.pi) * 0.01**2)
    check(extruded(rounded_rectangle(0.1, 0.06, 0.01), 0.005), exact, 0.02)
    hook = np.array([(0, 0), (4, 0), (4, 1), (1, 1), (1, 3), (0, 3)]) * 0.01
    check(extruded(hook, 0.005), 0.005 * 6e-4, 0.05)


def test_a_fillet_keeps_ends_and_straight_corners() -> None:
    line = np.array([(0, 0), (1, 0), (2, 0), (2, 1)], float)
    rounded = fillet(line, 0.1)
    np.testing.assert_array_equal(rounded[[0, -1]], line[[0, -1]])
    assert (rounded == line[1]).all(1).any()
    assert not (rounded == line[2]).all(1).any()
