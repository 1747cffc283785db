from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handseg.annotate.frame_json import check_camera, read_camera

K = [[600.0, 0, 320], [0, 610.0, 240], [0, 0, 1]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (K, {"K": K}),
        ({"K": K, "width": 640, "distortion": [0.1]},
         {"K": K, "width": 640, "distortion": [0.1]}),
    ],
)  # fmt: skip
def test_a_camera_is_kept_as_it_is(content: Any, expected: Any, tmp_path: Path) -> None:
    (tmp_path / "camera.json").write_text(json.dumps(content))
    assert read_camera(tmp_path / "camera.json") == expected


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "{}",
        '"K"',
        '{"K": [[600, 0], [0, 600]]}',
        '{"K": [[600, 0, 320], [0, 600, 240], [0, 0, 2]]}',
        '{"K": [[-600, 0, 320], [0, 600, 240], [0, 0, 1]]}',
        '{"K": [[600, 0, NaN], [0, 600, 240], [0, 0, 1]]}',
        '{"K": [[600, 0], [0, 600, 240], [0, 0, 1]]}',
    ],
)
def test_what_is_no_camera_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "camera.json").write_text(content)
    with pytest.raises(ValueError, match=r"camera\.json"):
        read_camera(tmp_path / "camera.json")


def test_a_camera_of_another_size_is_refused() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    check_camera({"K": K, "width": 640, "height": 480}, image, Path("c.json"))
    with pytest.raises(ValueError, match=r"c\.json is for 480 x 640 px, the photo is 640 x 480"):
        check_camera({"K": K, "width": 480, "height": 640}, image, Path("c.json"))
