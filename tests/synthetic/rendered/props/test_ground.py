import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.synthetic.rendered.props.ground import DENT, lay
from handseg.synthetic.rendered.props.worn import coin, id_card

UPRIGHT = np.eye(3)


def disc():
    return coin(np.random.default_rng(0))[0]


def depths(part, points, share=0.8):
    """Return the heights above the plane of the part's lower face, metres, of points within
    this share of its radius."""
    vertices = part.mesh.vertices.astype(float)
    middle = (vertices.max(0) + vertices.min(0)) / 2
    normal = np.linalg.svd(vertices - middle, full_matrices=False)[2][2]
    normal *= np.sign(normal[2])
    low = ((vertices - middle) @ normal).min()
    reach = np.linalg.norm(vertices - middle, axis=1).max()
    under = np.linalg.norm((points - middle)[:, :2], axis=1) < share * reach
    return ((points - middle) @ normal - low)[under]


def test_on_a_plane_it_lies_flat():
    x, y = np.meshgrid(*[np.linspace(-0.05, 0.05, 41)] * 2)
    plane = np.stack([x, y, np.full_like(x, 0.2)], -1).reshape(-1, 3)

    laid = lay(disc(), plane, np.array([0.01, 0.0, 0.35]), UPRIGHT)

    middle = laid.mesh.vertices.mean(0)
    np.testing.assert_allclose(middle[:2], (0.01, 0), atol=1e-4)
    assert laid.mesh.vertices[:, 2].min() == pytest.approx(0.2 - DENT, abs=1e-5)
    assert np.ptp(laid.mesh.vertices[:, 2]) < 0.003


def test_on_a_slope_it_tilts_with_it():
    x, y = np.meshgrid(*[np.linspace(-0.05, 0.05, 41)] * 2)
    slope = np.stack([x, y, 0.1 * x], -1).reshape(-1, 3)

    laid = lay(disc(), slope, np.zeros(3), UPRIGHT)

    assert np.abs(depths(laid, slope) - DENT).max() < 2e-4


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["coin", "card"]))
def test_nothing_below_pokes_through_and_it_does_not_float(seed, kind):
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*[np.linspace(-0.08, 0.08, 49)] * 2)
    hollow = 12 * rng.uniform(-1, 1) * (x**2 + y**2) + 0.2 * rng.uniform(-1, 1) * x
    points = np.stack([x, y, hollow + rng.normal(0, 0.0003, x.shape)], -1).reshape(-1, 3)
    part = disc() if kind == "coin" else id_card(rng)

    laid = lay(part, points, np.array([0.0, 0.0, 0.02]), UPRIGHT)

    assert depths(laid, points).max() < DENT + 3e-4
    # With a grid of 3 mm and slopes up to 0.4, the point of contact is a little beyond the rim.
    assert depths(laid, points, 1.3).max() > -1e-3


def test_over_nothing_it_stays_where_it_is():
    laid = lay(disc(), np.array([[1.0, 1.0, 1.0]]), np.zeros(3), UPRIGHT)

    assert laid.mesh.vertices[:, 2].min() == pytest.approx(-DENT, abs=1e-6)
