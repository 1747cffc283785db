import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.synthetic.rendered.meshes import ellipsoid, lathe, rounded_box
from handseg.synthetic.rendered.solids import (
    Box,
    Capsule,
    Cylinder,
    Ellipsoid,
    Placed,
    Revolved,
    Solid,
    Union,
)

PROFILE = np.array([(0.03, -0.05), (0.03, 0.02), (0.01, 0.04), (0.01, 0.06)])
SOLIDS: dict[str, Solid] = {
    "cylinder": Cylinder(0.03, 0.08),
    "box": Box((0.02, 0.05, 0.03), 0.004),
    "ellipsoid": Ellipsoid((0.03, 0.04, 0.05)),
    "capsule": Capsule(0.02, 0.05),
    "revolved": Revolved(PROFILE),
    "union": Union((Capsule(0.02, 0.05), Box((0.03, 0.03, 0.01)))),
}


def random_points(seed: int, count: int = 200, spread: float = 0.06) -> torch.Tensor:
    points = np.random.default_rng(seed).normal(0, spread, (count, 3))
    return torch.as_tensor(points, dtype=torch.float64)


@pytest.mark.parametrize("solid", SOLIDS.values(), ids=list(SOLIDS))
def test_the_sign_changes_from_inside_to_far_outside(solid: Solid) -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    inside, outside = solid.distance(points)
    assert inside < 0 < outside


@pytest.mark.parametrize("solid", SOLIDS.values(), ids=list(SOLIDS))
def test_gradients_are_finite_everywhere(solid: Solid) -> None:
    points = torch.cat([random_points(0), torch.zeros(1, 3, dtype=torch.float64)])
    points.requires_grad_()
    (gradient,) = torch.autograd.grad(solid.distance(points).sum(), points)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", [name for name in SOLIDS if name not in ("ellipsoid", "union")])
def test_exact_distances_have_gradients_of_length_one(name: str) -> None:
    points = random_points(1).requires_grad_()
    (gradient,) = torch.autograd.grad(SOLIDS[name].distance(points).sum(), points)
    np.testing.assert_allclose(gradient.norm(dim=1).numpy(), 1, atol=1e-4)


def test_points_on_the_surfaces_are_at_distance_zero() -> None:
    meshes = {
        "cylinder": lathe(np.array([(0, -0.08), (0.03, -0.08), (0.03, 0.08), (0, 0.08)])),
        "box": rounded_box((0.04, 0.1, 0.06), 0.004),
        "ellipsoid": ellipsoid((0.03, 0.04, 0.05)),
        "revolved": lathe(PROFILE),
    }
    for name, mesh in meshes.items():
        distance = SOLIDS[name].distance(torch.as_tensor(mesh.vertices, dtype=torch.float64))
        assert distance.abs().max() < 1e-6, name


def test_known_distances() -> None:
    point = torch.tensor([[0.0, 0.0, 0.1], [0.05, 0.0, 0.0], [0.06, 0.0, 0.11]])
    expected = {"cylinder": [0.02, 0.02, np.hypot(0.03, 0.03)], "capsule": [0.03, 0.03, None]}
    for name, values in expected.items():
        for got, value in zip(SOLIDS[name].distance(point), values, strict=True):
            assert value is None or float(got) == pytest.approx(value, abs=1e-6)
    ball = Ellipsoid((0.04, 0.04, 0.04))
    points = random_points(2)
    exact = points.norm(dim=1) - 0.04
    torch.testing.assert_close(ball.distance(points), exact, atol=1e-6, rtol=0)


def test_a_revolved_rectangle_is_a_cylinder() -> None:
    points = random_points(3)
    turned = Revolved(np.array([(0.03, -0.08), (0.03, 0.08)]))
    torch.testing.assert_close(
        turned.distance(points), SOLIDS["cylinder"].distance(points), atol=1e-6, rtol=0
    )


def test_a_union_is_the_nearest_of_its_solids() -> None:
    points, union = random_points(4), SOLIDS["union"]
    assert isinstance(union, Union)
    parts = torch.stack([solid.distance(points) for solid in union.solids])
    torch.testing.assert_close(union.distance(points), parts.min(0).values)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(SOLIDS)), st.integers(0, 10**6))
def test_a_placed_solid_moves_with_its_points(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    shift, points = rng.normal(0, 0.1, 3), random_points(seed)
    moved = points @ torch.as_tensor(rotation).T + torch.as_tensor(shift)
    torch.testing.assert_close(
        Placed(SOLIDS[name], rotation, shift).distance(moved),
        SOLIDS[name].distance(points),
        atol=1e-6,
        rtol=0,
    )


def test_a_solid_can_be_moved_by_gradient_descent() -> None:
    shift = torch.zeros(3, requires_grad=True)
    point = torch.tensor([[0.02, 0.01, 0.0]])
    optimizer = torch.optim.SGD([shift], lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        placed = Placed(Cylinder(0.03, 0.08), torch.eye(3), shift)
        (placed.distance(point) ** 2).sum().backward()
        assert shift.grad is not None
        shift.grad *= 10
        optimizer.step()
    assert abs(float(placed.distance(point).detach()[0])) < 1e-3
