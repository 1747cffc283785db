from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handseg.data import LabelledPhotos, Splits, list_photos, load_data

CAMERA = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])


def seg(scale: int = 1) -> Image.Image:
    """Draw a blue hand at x 200 to 320, a green object at x 320 to 400, at 640 / `scale` px."""
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[120:360, 200:320] = 0, 0, 255
    picture[160:320, 320:400] = 0, 255, 0
    return Image.fromarray(picture[::scale, ::scale])


def joints(x: float, y: float) -> np.ndarray:
    """Return 21 joints that all project to x, y px, (21, 3) m, in the publisher's coordinates."""
    point = np.linalg.inv(CAMERA) @ [x, y, 1] * 0.5
    return np.tile(point * [1, -1, -1], (21, 1)).astype(np.float32)


def write_frame(place: Path, frame: str, kind: str, label: Image.Image | None) -> None:
    for name in ("rgb", "meta"):
        (place / name).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (640, 480), (90, 80, 70)).save(place / "rgb" / f"{frame}.{kind}")
    meta = {
        "objName": "021_bleach_cleanser",
        "camMat": CAMERA,
        "handJoints3D": joints(260, 240),
        "handPose": np.zeros(48, np.float32),
        "objRot": np.zeros((3, 1)),
    }
    (place / "meta" / f"{frame}.pkl").write_bytes(pickle.dumps(meta, protocol=2))
    if label is not None:
        (place / "seg").mkdir(exist_ok=True)
        label.save(place / "seg" / f"{frame}.{'png' if kind == 'jpg' else 'jpg'}")


@pytest.fixture(params=["v2", "v3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three sequences with masks, and an evaluation sequence without.

    Version 2 has PNG photos, here with JPEG masks of the same size; version 3 has JPEG photos, here
    with PNG masks of a quarter of the size.
    """
    root = tmp_path / f"HO3D_{request.param}"
    kind, scale = {"v2": ("png", 1), "v3": ("jpg", 4)}[request.param]
    for sequence in ("ABF10", "ABF11", "MC1"):
        for frame in ("0000", "0001"):
            write_frame(root / "train" / sequence, frame, kind, seg(scale))
    write_frame(root / "evaluation" / "SM1", "0000", kind, None)
    listed = ["MC1/0000", "ABF10/0001", "ABF10/0000", "ABF11/0000", "ABF11/0001"]
    (root / "train.txt").write_text("\n".join(listed) + "\n")
    (root / "evaluation.txt").write_text("SM1/0000\n")
    return root


def load(root: Path, **options: object) -> LabelledPhotos:
    return LabelledPhotos(load_data(root, "ho3d", cache_dir=root.parent / "cache", **options))


def test_listed_frames_have_masks_of_hand_and_object(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        rows = load(root)
    assert [row.id for row in rows] == [
        "ABF10/0000", "ABF10/0001", "ABF11/0000", "ABF11/0001", "MC1/0000",
    ]  # fmt: skip
    assert [row.group for row in rows] == ["ABF"] * 4 + ["MC"]
    assert {(row.source, row.split) for row in rows} == {("ho3d", "train")}
    assert "1 frames are left out, as there is no folder seg in SM1" in caplog.text
    truth = np.asarray(seg()) > 127
    for row in rows:
        image, mask = row.load()
        held = row.load_object_mask()
        assert image.shape == (480, 640, 3)
        assert held is not None
        for found, expected in ((mask, truth[..., 2]), (held, truth[..., 1])):
            assert (found ^ expected).sum() < 0.04 * expected.sum()
        assert not (held & mask).any()


def test_all_frames_are_taken_without_a_list_and_evaluation_with_masks(root: Path) -> None:
    (root / "train.txt").unlink()
    (root / "evaluation" / "SM1" / "seg").mkdir()
    seg().save(root / "evaluation" / "SM1" / "seg" / "0000.png")
    dataset = load_data(root, "ho3d", cache_dir=root.parent / "cache")
    assert len(dataset) == 7
    splits = Splits.official(dataset, {"train": 0.5, "val": 0.5})
    assert splits.parts["test"] == ("SM1/0000",)
    assert {len(splits.parts[part]) for part in ("train", "val")} == {2, 4}


def test_a_list_in_another_encoding_is_named(root: Path) -> None:
    listed = (root / "train.txt").read_text()
    (root / "train.txt").write_text(listed, encoding="utf-8-sig")
    assert len(list_photos(root, "ho3d")) == 5
    (root / "train.txt").write_text(listed, encoding="utf-16")
    with pytest.raises(ValueError, match=r"cannot read .*train\.txt: .*utf-8"):
        list_photos(root, "ho3d")


def test_missing_files_are_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in (root / "train" / "ABF10" / "rgb").glob("0000.*"):
        path.unlink()
    for path in (root / "train" / "MC1" / "seg").glob("0000.*"):
        path.unlink()
    with (root / "train.txt").open("a") as file:
        file.write("ND2/0003\nND2/0004\n")
    with caplog.at_level(logging.WARNING):
        rows = load(root)
    assert [row.id for row in rows] == ["ABF10/0001", "ABF11/0000", "ABF11/0001"]
    assert "left out: ABF10/0000" in caplog.text
    assert "left out: MC1/0000" in caplog.text
    assert "2 frames are left out, as there is no folder seg in ND2" in caplog.text


def test_a_mask_of_another_frame_is_told_by_the_joints(root: Path) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    first = list_photos(root, "ho3d")[0]
    assert first.labels(image).mask.any()
    meta = root / "train" / "ABF10" / "meta" / "0000.pkl"
    meta.write_bytes(pickle.dumps({"camMat": CAMERA, "handJoints3D": joints(600, 40)}, protocol=2))
    with pytest.raises(ValueError, match=r"shows nothing at the joints in .*0000\.pkl"):
        first.labels(image)
    meta.write_bytes(pickle.dumps({"camMat": CAMERA, "handJoints3D": None}, protocol=2))
    with pytest.raises(ValueError, match="must have camMat"):
        first.labels(image)
    meta.unlink()
    assert first.labels(image).mask.any()


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_a_malicious_annotation_is_refused_and_not_run(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "made"
    meta = root / "train" / "ABF10" / "meta" / "0000.pkl"
    meta.write_bytes(pickle.dumps({"camMat": Malicious(target)}, protocol=2))
    load(root)
    with pytest.raises(ValueError, match=r"0000\.pkl names .*mkdir, which is refused"):
        list_photos(root, "ho3d")[0].labels(np.zeros((480, 640, 3), np.uint8))
    assert not target.exists()


def test_what_is_no_ho3d_is_refused(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in (root / "train" / "MC1" / "seg").iterdir():
        path.unlink()
    Image.new("RGB", (640, 480), (255, 0, 0)).save(root / "train" / "MC1" / "seg" / "0000.png")
    with caplog.at_level(logging.WARNING):
        assert len(load(root)) == 4
    assert "must show the hand blue and the object green" in caplog.text
    (root / "train.txt").write_text("../x/0000\n")
    with pytest.raises(ValueError, match=r"train\.txt must list <sequence>/<frame>"):
        load(root)
    with pytest.raises(ValueError, match="no frame with a mask in the layout ho3d"):
        load(root / "evaluation")
    (root / "train.txt").write_text("MC1/0000\n")
    (root / "evaluation.txt").write_text("MC1/0000\n")
    (root / "evaluation" / "MC1" / "seg").mkdir(parents=True)
    with pytest.raises(ValueError, match="a sequence MC1 in both parts"):
        load(root)
