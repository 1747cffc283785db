import numpy as np
import pytest

pytest.importorskip("anny")
import torch

from handseg.synthetic.rendered.body.bodies import PHENOTYPES, draw_phenotype, make_body, topology
from handseg.synthetic.rendered.body.finger_truth import measure
from handseg.synthetic.rendered.body.hands import Capsules, draw_shape, hand_shapes, tip_lengths
from handseg.synthetic.rendered.body.joints import JOINTS, numbers
from handseg.synthetic.rendered.body.posing import (
    Figure,
    Surface,
    UnreachableError,
    near,
    outside,
    require,
    solve,
    start,
)


@pytest.fixture(scope="module")
def body():
    return make_body(dict.fromkeys(PHENOTYPES, 0.5))


def posed_hand(body, name, side="R"):
    figure = Figure(body)
    figure.values |= draw_shape(name, side, np.random.default_rng(0), noise=0)
    return start(figure)


def test_a_body_at_rest_is_posed_as_it_is(body):
    figure = Figure(body)
    # Finger angles count from straight, so they are set to the bend at rest.
    for number, joint in enumerate(JOINTS):
        if joint.bone.startswith("finger") and joint.axis == "flex":
            figure.values[number] = float(body.bend[topology().index(joint.bone)])

    np.testing.assert_allclose(start(figure).vertices(), body.vertices, atol=1e-5)


def test_there_are_some_forty_shapes_and_all_stay_within_the_joints_limits():
    assert len(hand_shapes()) >= 40
    for name in hand_shapes():
        for seed in range(3):
            for side in "LR":
                values = draw_shape(name, side, np.random.default_rng(seed))
                assert set(values) == set(numbers(side, "finger"))
                for number, angle in values.items():
                    assert JOINTS[number].low <= angle <= JOINTS[number].high


@pytest.mark.parametrize("side", ["L", "R"])
def test_open_fingers_are_straight_and_a_fist_closes(body, side):
    marks = posed_hand(body, "open", side).hand(side).landmarks
    length = float((marks[9] - marks[0]).norm())

    reach = {
        name: (hand.tips[1:] - hand.palm).norm(dim=1) / length
        for name in ("open", "fist")
        for hand in [posed_hand(body, name, side).hand(side)]
    }

    assert (reach["open"] > 0.9).all()
    assert (reach["fist"] < 0.75).all()


@pytest.mark.parametrize("side", ["L", "R"])
def test_fingers_flex_to_the_side_that_the_palm_faces(body, side):
    flat, bent = (posed_hand(body, name, side).hand(side) for name in ("flat", "bent_flat"))

    moved = (bent.tips - flat.tips)[1:] @ flat.normal

    assert (moved > 0.02).all()


def test_both_hands_are_mirror_images(body):
    posed = posed_hand(body, "ok", "L"), posed_hand(body, "ok", "R")
    left, right = posed[0].hand("L").landmarks, posed[1].hand("R").landmarks

    np.testing.assert_allclose(left * torch.tensor([-1.0, 1, 1]), right, atol=2e-3)


def test_each_body_has_fingers_of_its_own_length():
    # Bodies are freed in between: cached values of one must not be used for the next.
    for seed in (1, 2, 3):
        made = make_body(draw_phenotype(np.random.default_rng(seed)))
        number = topology().index("finger3-3.L")
        own = topology().weights[:, number] > 0.5
        bone = made.bones[number]
        longest = float(((made.vertices[own] - bone[:3, 3]) @ bone[:3, 1]).max())
        assert tip_lengths(made)["3L"] == pytest.approx(longest)
        del made


def test_landmarks_lie_inside_the_hand(body):
    posed = posed_hand(body, "open")
    skin = Surface.of(posed, "finger", "metacarpal", "wrist", step=1)

    depth = -skin.distance(posed.hand("R").landmarks)

    assert (depth > 0).all()
    assert (depth < 0.03).all()


def test_capsules_are_about_as_thick_as_the_fingers(body):
    posed = posed_hand(body, "open")
    distance = Capsules.of(body).distance(posed.hand("R"), posed.hand_points("R")).min(1).values

    assert float(distance.abs().median()) < 0.005


def test_a_measured_finger_is_as_wide_as_its_vertices(body):
    found = measure(posed_hand(body, "flat"), "R")

    assert set(found) == {"index", "middle", "ring", "pinky"}
    for finger in found.values():
        assert 12 < finger["width"] < 26
        assert 2.4 < finger["girth"] / finger["width"] < 3.6
        assert 40 < finger["length"] < 110
    assert found["pinky"]["width"] < found["middle"]["width"]


def test_an_arm_reaches_and_stays_out_of_the_head(body):
    figure = Figure(body, values=draw_shape("relaxed", "R", np.random.default_rng(0)))
    figure.free_arm("R")
    begin = start(figure)
    head = Surface.of(begin, "head", "neck")
    # In the centre of the head, where the hand cannot go.
    goal = begin.bone("head") + torch.tensor([0.0, -0.03, 0.05])

    (posed,), losses = solve(
        [figure],
        lambda posed: {
            "reach": near(posed[0].hand("R").palm, goal),
            "outside": outside(head.distance(posed[0].hand_points("R"))),
        },
    )

    assert float(head.distance(posed.hand_points("R")).min()) > -0.004
    assert float((posed.hand("R").palm - goal).norm()) < 0.2
    with pytest.raises(UnreachableError, match="reach"):
        require(losses, reach=1e-6)


def test_poses_stay_within_the_joints_limits(body):
    figure = Figure(body)
    figure.free_arm("L")
    far = torch.tensor([3.0, 3.0, 3.0])

    (posed,), _ = solve([figure], lambda posed: {"reach": near(posed[0].hand("L").palm, far)})

    for number in figure.free:
        assert JOINTS[number].low - 1e-5 <= posed.values[number] <= JOINTS[number].high + 1e-5


def test_bodies_differ_and_follow_their_seed():
    one, same = (draw_phenotype(np.random.default_rng(4)) for _ in range(2))

    assert one == same
    assert one != draw_phenotype(np.random.default_rng(5))
    heights = [
        float(np.ptp(make_body(draw_phenotype(np.random.default_rng(seed))).vertices[:, 2].numpy()))
        for seed in range(8)
    ]
    assert np.ptp(heights) > 0.2
