import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("anny")

from handseg.errors import ImageError, RenderingError
from handseg.io.files import save_image
from handseg.synthetic.rendered.run import (
    FOLDERS,
    Settings,
    draw_take,
    find_records,
    finish,
    missing,
    open_folder,
    picture_id,
)
from handseg.synthetic.rendered.scenes import SCENES
from handseg.synthetic.rendered.take import CHANNELS

SETTINGS = Settings(10, 0, 128, ("palm", "sign"), "", False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"size": 5}, "size must be 64 to 4096 px, got 5"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"scenes": ("palm", "beach")}, "scenes must be of face, .*got beach"),
        ({"scenes": ()}, "got none"),
        ({"backgrounds": "nowhere"}, "no folder nowhere"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(change, message):
    with pytest.raises(RenderingError, match=message):
        replace(SETTINGS, **change)


def test_a_folder_of_another_run_is_refused(tmp_path):
    open_folder(tmp_path / "out", SETTINGS)

    with pytest.raises(RenderingError, match="seed 0"):
        open_folder(tmp_path / "out", replace(SETTINGS, seed=1))
    open_folder(tmp_path / "out", replace(SETTINGS, count=20))
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["count"] == 20


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")

    with pytest.raises(RenderingError, match="not empty"):
        open_folder(tmp_path, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_what_is_missing_are_takes_without_all_their_records(tmp_path):
    open_folder(tmp_path / "out", SETTINGS)
    assert all((tmp_path / "out" / name).is_dir() for name in FOLDERS)
    assert missing(tmp_path / "out", SETTINGS) == [0, 1, 2, 3]

    for number in (0, 1, 2, 3, 5, 9):  # Take 1 lacks picture 4; take 3 has only one picture.
        (tmp_path / "out" / "truth" / f"{picture_id(SETTINGS, number)}.json").write_text("{}")

    assert missing(tmp_path / "out", SETTINGS) == [1, 2]


HALF = f".{'0123456789abcdef' * 2}.json"  # As `write_atomic` calls a file that it is writing.


def test_a_run_killed_while_it_makes_its_folder_starts_again(tmp_path, monkeypatch):
    def killed(self, *_, **__):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    out.mkdir()
    (out / HALF).write_text("{")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            open_folder(out, SETTINGS)

    open_folder(out, SETTINGS)
    assert missing(out, SETTINGS) == [0, 1, 2, 3]


def test_half_a_record_of_a_killed_process_counts_as_none_and_is_removed(tmp_path):
    open_folder(tmp_path, SETTINGS)
    name = picture_id(SETTINGS, 0)
    (tmp_path / "truth" / f"{name}.json").write_text("{}")
    for kind, suffix in (("images", "jpg"), ("masks", "png"), ("object_masks", "png")):
        save_image(np.zeros((8, 8, 3), np.uint8), tmp_path / kind / f"{name}.{suffix}")
    (tmp_path / "truth" / HALF).write_text('{"scene": ')

    assert [path.stem for path in find_records(tmp_path)] == [name]
    finish(tmp_path)
    assert (tmp_path / "groups.csv").read_text() == f"id,group\n{name},{name[:-2]}\n"
    assert not (tmp_path / "truth" / HALF).exists()


def test_held_out_sets_share_no_skin_thing_or_background(tmp_path):
    for number in range(10):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    settings = replace(SETTINGS, backgrounds=str(tmp_path))
    train, held_out = settings, replace(settings, held_out=True)

    assert not set(train.cast().skins) & set(held_out.cast().skins)
    assert not set(train.cast().props) & set(held_out.cast().props)
    assert not set(train.photos()) & set(held_out.photos())
    assert len(train.photos()) + len(held_out.photos()) == 10
    assert held_out.cast().skins
    assert held_out.cast().props


def test_a_folder_without_photos_to_show_is_refused(tmp_path):
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match="holds no image"):
        replace(SETTINGS, backgrounds=str(tmp_path))

    (tmp_path / "0.jpg").write_bytes(b"")
    assert replace(SETTINGS, backgrounds=str(tmp_path), held_out=True).photos()
    with pytest.raises(RenderingError, match="every fifth photo is kept for --held-out"):
        replace(SETTINGS, backgrounds=str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("scene", sorted(SCENES))
def test_a_scene_depends_on_seed_and_number_alone(scene):
    settings = replace(SETTINGS, scenes=(scene,))
    draw_take(settings, 1)

    (one, _), (two, _) = draw_take(settings, 0), draw_take(settings, 0)

    assert len(one.items) == len(two.items)
    for first, second in zip(one.items, two.items, strict=True):
        np.testing.assert_array_equal(first.part.mesh.vertices, second.part.mesh.vertices)
    for first, second in zip(one.hands, two.hands, strict=True):
        np.testing.assert_array_equal(first.landmarks, second.landmarks)
    np.testing.assert_array_equal(one.views[-1].camera.position, two.views[-1].camera.position)


@pytest.mark.slow
@pytest.mark.parametrize("scene", sorted(SCENES))
def test_a_scene_shows_hands_that_are_labelled_and_people_who_are_dressed(scene):
    take, _ = draw_take(replace(SETTINGS, scenes=(scene,)), 2)

    labels = {name for item in take.items for name in item.labels}
    assert labels <= set(CHANNELS)
    assert {f"hand{number}" for number in range(len(take.hands))} <= labels
    assert len(take.views) == 3
    assert all(np.isfinite(item.part.mesh.vertices).all() for item in take.items)
    people = sum(item.skin is not None for item in take.items)
    clothes = [item for item in take.items if not item.labels and item.skin is None]
    assert len(clothes) >= people
    # Landmarks are in the hand that their label covers.
    for number, hand in enumerate(take.hands):
        own = np.concatenate(
            [
                item.part.mesh.vertices[np.asarray(item.labels[f"hand{number}"]) > 0]
                for item in take.items
                if isinstance(item.labels.get(f"hand{number}"), np.ndarray)
            ]
        )
        away = np.linalg.norm(hand.landmarks[:, None] - own[None], axis=2).min(1)
        assert away.max() < 0.03


@pytest.mark.slow
def test_held_things_are_where_the_hand_is():
    take, _ = draw_take(replace(SETTINGS, scenes=("hold",)), 3)

    thing = np.concatenate(
        [item.part.mesh.vertices for item in take.items if "object" in item.labels]
    )
    palm = np.array([hand.landmarks[[0, 5, 9, 17]].mean(0) for hand in take.hands])
    assert np.linalg.norm(thing[:, None] - palm[None], axis=2).min() < 0.08


@pytest.mark.slow
def test_fingers_of_folded_hands_alternate():
    folded = []
    for number in range(1, 12):
        take, _ = draw_take(replace(SETTINGS, scenes=("pair",), seed=4), number)
        if take.notes["kind"] == "fold":
            folded.append(take)
            break
    assert folded
    left, right = (hand.landmarks for hand in folded[0].hands)
    line = left[17] - left[5] + right[17] - right[5]
    places = [
        (float(hand[k] @ line), side)
        for side, hand in enumerate((left, right))
        for k in (6, 10, 14, 18)
    ]
    order = [side for _, side in sorted(places)]
    assert sum(one != other for one, other in pairwise(order)) >= 6


def test_a_folded_arm_does_not_hide_the_palm():
    """Of this seed's first five palms, one was under its own elbow."""
    settings = replace(SETTINGS, seed=4100, held_out=True, scenes=("palm",))
    for number in range(5):
        take, _ = draw_take(settings, number)
        (shown,) = (hand for hand in take.hands if "fingers_mm" in hand.notes)
        (person,) = (item for item in take.items if item.skin is not None)
        body = person.part.mesh.vertices
        above = body[body[:, 2] > shown.landmarks[:, 2].max() + 0.03]
        apart = np.linalg.norm(above[:, None, :2] - shown.landmarks[None, :, :2], axis=2)
        assert (apart.min(0, initial=1) < 0.02).sum() < 5, number


@pytest.mark.slow
def test_a_coin_on_a_palm_is_not_sunk_into_it():
    """Seen from the coin's axis, all of its face lies above the skin, triangles included."""
    seen = 0
    for number in range(40):
        take, _ = draw_take(replace(SETTINGS, scenes=("palm",)), number)
        things = [item for item in take.items if item.labels == {"object": 1.0}]
        if not take.notes["palm_up"] or "coin_mm" not in take.notes or not things:
            continue
        corners = things[0].part.mesh.vertices.astype(float)
        middle = corners.mean(0)
        axis = np.linalg.svd(corners - middle, full_matrices=False)[2][2]
        (person,) = (item for item in take.items if item.skin is not None)
        triangles = person.part.mesh.vertices[person.part.mesh.faces].astype(float)
        places = np.random.default_rng(number).dirichlet(np.ones(3), 400)
        near = np.linalg.norm(triangles.mean(1) - middle, axis=1) < 0.03
        points = np.einsum("sk,fkx->sfx", places, triangles[near]).reshape(-1, 3) - middle
        if not len(points):
            continue  # The coin is on the table.
        height = points @ axis
        inside = np.linalg.norm(points - np.outer(height, axis), axis=1) < 0.0098
        if not inside.any():
            continue
        # The palm is on one side of the coin.
        side = -np.sign(np.median(height[inside]))
        assert (side * height[inside]).max() < 0, number
        seen += 1
        if seen == 3:
            break
    assert seen == 3
