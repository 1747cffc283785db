from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("anny")

from handseg.synthetic.rendered.people.person import draw_person


@pytest.mark.parametrize("shape", ["open", "fist"])
def test_a_gloves_cuff_is_cut_at_the_wrist_and_its_fingers_are_not(shape):
    rng = np.random.default_rng(0)
    person = draw_person(0, rng)
    person.look = replace(person.look, gloves=True)
    person.shape_hand("L", shape, rng)
    posed = person.start()

    items = person.items(posed, {"L": 0, "R": 1})

    (glove,) = (item for item in items if isinstance(item.labels.get("hand0"), float))
    hand = posed.hand("L")
    past = (glove.part.mesh.vertices - posed.bone("wrist.L").numpy()) @ hand.along.numpy()
    core = np.broadcast_to(glove.labels["core"], past.shape)
    assert past.min() < -0.03
    assert (core[past < 0] <= 0).all()
    assert (core[past > float((hand.knuckles[1] - posed.bone("wrist.L")) @ hand.along)] > 0).all()
