import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handseg.synthetic.rendered.scene import Camera

coordinates = st.floats(-3, 3)


@given(st.tuples(coordinates, coordinates, coordinates), st.floats(-3, 3), st.floats(0.3, 4))
def test_what_a_camera_looks_at_is_in_the_middle(place, roll, focal):
    target = np.array([0.1, -4.0, 0.3])
    camera = Camera.looking(np.array(place), target, focal, roll)

    pixel = camera.project(target[None], 448)[0]

    np.testing.assert_allclose(pixel, (447 / 2, 447 / 2), atol=1e-2)
    np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(camera.rotation) == pytest.approx(1)


def test_up_is_up_and_right_is_right():
    camera = Camera.looking(np.array([0.0, -2.0, 0.0]), np.zeros(3), 1.0)

    (centre, above, east) = camera.project(np.array([[0, 0, 0], [0, 0, 0.1], [0.1, 0, 0]]), 100)

    np.testing.assert_allclose(above - centre, (0, -5), atol=1e-4)
    np.testing.assert_allclose(east - centre, (5, 0), atol=1e-4)


def test_matrix_and_camera_coordinates_give_the_projection():
    camera = Camera.looking(np.array([1.0, -2.0, 0.5]), np.array([0.2, 0, 0]), 1.3, 0.4)
    points = np.random.default_rng(0).normal(0, 0.2, (50, 3))

    seen = camera.to_camera(points) @ camera.matrix(640).T

    np.testing.assert_allclose(camera.project(points, 640), seen[:, :2] / seen[:, 2:], rtol=1e-5)
