import numpy as np
import pytest

from handseg.landmarks.anatomy import wrist_side
from handseg.synthetic.rendered.scene import Camera, Surroundings, View
from handseg.synthetic.rendered.take import CHANNELS, HandTruth, Take
from handseg.synthetic.rendered.truth import make_truth

SIZE = 100
# A hand in the plane y = 0, seen from -y: fingers up, the wrist in the middle of the picture.
FLAT = np.zeros((21, 3))
FLAT[1:5] = [[0.02, 0, 0.02], [0.04, 0, 0.04], [0.05, 0, 0.06], [0.055, 0, 0.07]]
for _finger in range(4):
    for _joint in range(4):
        FLAT[5 + 4 * _finger + _joint] = [0.03 - 0.02 * _finger, 0, 0.09 + 0.02 * _joint]


@pytest.fixture
def view():
    camera = Camera.looking(np.array([0.0, -0.5, 0.0]), np.zeros(3), 1.0)
    return View(camera, (), Surroundings((1, 1, 1), 1.0))


def channels(**given):
    return {name: given.get(name, np.zeros((SIZE, SIZE), np.float32)) for name in CHANNELS}


def take(*hands):
    return Take((), hands, ())


def hand(side="right", landmarks=FLAT):
    return HandTruth(side, 0, landmarks, np.full(21, 0.01), 0.4, {"gloved": False})


def limb():
    """Draw a limb from the top of the image to its lower edge, 30 px wide."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[20:, 35:65] = 1
    return mask


def test_a_hand_ends_at_the_projects_wrist_line(view):
    depth = np.full((SIZE, SIZE), 0.49, np.float32)
    truth = make_truth(take(hand()), view, channels(hand0=limb()), depth)

    points = view.camera.project(FLAT, SIZE)
    expected = (limb() > 0.5) & (wrist_side(points, SIZE, SIZE) > 0.5)
    np.testing.assert_array_equal(truth.hand, expected)
    np.testing.assert_array_equal(truth.forearm, (limb() > 0.5) & ~expected)
    assert truth.forearm.any()


def test_fingers_are_never_cut(view):
    fingers = np.zeros((SIZE, SIZE), np.float32)
    fingers[90:, 40:60] = 1
    depth = np.full((SIZE, SIZE), 0.49, np.float32)

    truth = make_truth(take(hand()), view, channels(hand0=limb(), core=fingers), depth)

    assert truth.hand[90:, 40:60].all()
    assert not truth.hand[90:, 35:38].any()


def test_the_record_tells_box_scale_and_place(view):
    depth = np.full((SIZE, SIZE), 0.49, np.float32)
    truth = make_truth(take(hand()), view, channels(hand0=limb()), depth)

    (record,) = truth.hands
    rows, columns = np.nonzero(truth.hand)
    assert record["box"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    # 0.5 m away, focal length equal to the image side: 5 mm per pixel.
    assert record["mm_per_px"] == pytest.approx(5.0, abs=0.01)
    np.testing.assert_allclose(np.array(record["landmarks_mm"])[:, 2], 500, atol=0.1)
    assert record["handedness"] == "right"
    assert record["gloved"] is False
    assert truth.camera["K"][0][0] == SIZE


@pytest.mark.parametrize(
    ("depth", "seen"), [(0.492, True), (0.478, True), (0.474, False), (0.3, False)],
    ids=["back of the hand", "palm", "another finger", "something far in front"],
)  # fmt: skip
def test_a_landmark_behind_something_is_not_seen(view, depth, seen):
    distance = np.full((SIZE, SIZE), depth, np.float32)
    truth = make_truth(take(hand()), view, channels(hand0=limb()), distance)

    x, y = np.round(truth.hands[0]["landmarks"]).astype(int).T
    on_limb = (x >= 35) & (x < 65) & (y >= 20)
    np.testing.assert_array_equal(truth.hands[0]["seen"], on_limb & seen)
    assert on_limb.sum() > 10


def test_instances_follow_the_larger_share_and_hands_out_of_sight_are_left_out(view):
    other = np.zeros((SIZE, SIZE), np.float32)
    other[20:60, 35:50] = 0.8
    given = channels(hand0=np.minimum(limb(), 1 - other), hand2=other)
    depth = np.full((SIZE, SIZE), 0.49, np.float32)

    truth = make_truth(take(hand(), hand("left"), hand("left")), view, given, depth)

    assert [record["handedness"] for record in truth.hands] == ["right", "left"]
    assert (truth.instances[25:50, 36:49] == 2).all()
    assert (truth.instances[25:50, 52:64] == 1).all()
