"""Cut-outs, masks and numbers are those of `segment()` and of the commands."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from measured_scenes import WIDTHS_MM, Camera, draw_hand
from PIL import Image
from red_hands import LEFT, RIGHT, draw_photo, red_segmenter

from handseg import __version__
from handseg.io.files import encode_image
from handseg.measure import hand_dict, measure_hand
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter
from handseg.server import schema
from handseg.server.app import create_app
from handseg.server.respond import Limits
from handseg.server.workers import Workers

Visit = Callable[..., TestClient]
STEMS = ["35_pic00033", "2_pic00174", "3_pic00043", "2_pic00212"]


@pytest.fixture
def client(visit: Visit, segmenter: HandSegmenter) -> TestClient:
    return visit(segmenter)


def file(photo_folder: Path, stem: str) -> bytes:
    return (photo_folder / "images" / f"{stem}.jpg").read_bytes()


def png(
    *ellipses: tuple[int, int, int, int], size: tuple[int, int] = (160, 120), **options: Any
) -> bytes:
    """Encode a drawn photo with red hands."""
    stream = io.BytesIO()
    Image.fromarray(draw_photo(*ellipses, size=size)[0]).save(stream, "PNG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("stem", STEMS)
def test_photos_are_answered_as_in_python(
    client: TestClient, segmenter: HandSegmenter, photo_folder: Path, stem: str
) -> None:
    photo = file(photo_folder, stem)
    expected = segmenter.segment(photo_folder / "images" / f"{stem}.jpg")
    assert len(expected) == 1

    cutout = client.post("/cutout", files={"photo": photo})
    assert cutout.status_code == 200, cutout.text
    assert cutout.headers["content-type"] == "image/png"
    assert cutout.headers["Handseg-Hands"] == "1"
    assert cutout.content == encode_image(expected.cutout(), "x.png", expected.dpi)

    mask = client.post("/mask", files={"photo": photo})
    assert mask.headers["content-type"] == "image/png"
    assert mask.content == encode_image(expected.mask, "x.png", expected.dpi)

    numbers = client.post("/hands", files={"photo": photo})
    assert numbers.headers["content-type"] == "application/json"
    assert numbers.json() == json.loads(json.dumps(expected.to_dict()))
    schema.Numbers.model_validate_json(numbers.content, strict=True)


OPTIONS: list[dict[str, Any]] = [
    {"max_hands": 1, "finder": False, "forearm": True, "holes": "fill"},
    {"boxes": [120, 80, 420, 450]},
    {"boxes": [[284, 56, 438, 269], [0, 0, 200, 200]]},
    {"points": [[[350, 180], [400, 90]]], "labels": [[1, 0]]},
    {"boxes": [[120, 80, 420, 450]], "points": [[300, 300]], "labels": [0]},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_mean_what_they_mean_in_python(
    client: TestClient, segmenter: HandSegmenter, photo_folder: Path, options: dict[str, Any]
) -> None:
    photo = file(photo_folder, "2_pic00174")
    written = {name: json.dumps(value) for name, value in options.items() if name != "holes"}
    written |= {name: value for name, value in options.items() if name == "holes"}
    answer = client.post("/hands", files={"photo": photo}, params=written)
    assert answer.status_code == 200, answer.text
    expected = segmenter.segment(photo, **options).to_dict()
    assert answer.json() == json.loads(json.dumps(expected))
    assert answer.json() != client.post("/hands", files={"photo": photo}).json()


def test_landmarks_take_the_place_of_mediapipe(
    client: TestClient, segmenter: HandSegmenter, photo_folder: Path
) -> None:
    photo = file(photo_folder, "2_pic00174")
    (hand,) = segmenter.segment(photo)
    assert hand.landmarks is not None
    landmarks = hand.landmarks.astype(float).round(2).tolist()
    answer = client.post(
        "/mask", files={"photo": photo}, params={"landmarks": json.dumps(landmarks)}
    )
    expected = segmenter.segment(photo, landmarks=landmarks)
    assert answer.content == encode_image(expected.mask, "x.png")


@pytest.mark.parametrize("edge", ["soft", "hard", "matte"])
@pytest.mark.parametrize("background", [None, "white", "#00b140"])
def test_edges_and_backgrounds(
    client: TestClient, segmenter: HandSegmenter, photo_folder: Path, edge: Any, background: Any
) -> None:
    photo = file(photo_folder, "35_pic00033")
    result = segmenter.segment(photo)
    params = {"edge": edge} | ({} if background is None else {"background": background})
    answer = client.post("/cutout", files={"photo": photo}, params=params)
    picture = result.cutout(edge=edge)
    if background is not None:
        picture = result.composite(background, edge)
    assert answer.content == encode_image(picture, "x.png")


def test_a_photo_without_a_hand_is_answered_too(
    client: TestClient, no_hand: np.ndarray, segmenter: HandSegmenter
) -> None:
    photo = encode_image(no_hand, "x.png")
    cutout = client.post("/cutout", files={"photo": photo})
    assert (cutout.status_code, cutout.headers["Handseg-Hands"]) == (200, "0")
    with Image.open(io.BytesIO(cutout.content)) as picture:
        assert picture.size == no_hand.shape[1::-1]
        assert not np.asarray(picture).any()
    numbers = client.post("/hands", files={"photo": photo}).json()
    assert numbers == {"width": 264, "height": 480, "hands": []}


def test_resolution_and_orientation_are_kept(visit: Visit) -> None:
    exif = Image.Exif()
    exif[274] = 6  # Upright after a quarter turn
    answer = visit().post("/mask", files={"photo": png(LEFT, exif=exif.tobytes(), dpi=(300, 300))})
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (120, 160)
        assert tuple(map(round, picture.info["dpi"])) == (300, 300)


def test_several_hands(visit: Visit) -> None:
    client, photo = visit(), png(LEFT, RIGHT)
    assert client.post("/cutout", files={"photo": photo}).headers["Handseg-Hands"] == "2"
    answer = client.post("/hands", files={"photo": photo}, params={"max_hands": 1})
    assert len(answer.json()["hands"]) == 1


def test_objects_are_answered_where_the_server_lets_them(visit: Visit) -> None:
    photo = {"photo": png(LEFT)}
    plain = visit().post("/hands?objects=true", files=photo)
    assert plain.status_code == 422
    assert plain.json() == {"detail": "objects: this server was started without --objects"}
    answer = visit(limits=Limits(timeout=600, objects=True)).post(
        "/hands?objects=true", files=photo
    )
    expected = red_segmenter().segment(photo["photo"], objects=True).to_dict()
    assert answer.json() == json.loads(json.dumps(expected))
    assert "object" in answer.json()["hands"][0]


SCENE = draw_hand(Camera(), ((10.0, -5.0, 25.75),))


class Painter:
    """A segmenter that knows a drawn hand exactly."""

    def segment(self, image: Any, **options: Any) -> HandSegmentation:
        return SCENE


@pytest.mark.parametrize(
    ("params", "how"),
    [
        ({"scale": "2 Euros"}, {"scale": "2 euro"}),
        ({"scale": ["25.75mm"], "fit": "loose"}, {"scale": 25.75}),
        ({"mm_per_px": 0.2}, {"mm_per_px": 0.2}),
    ],
)
def test_fingers_are_measured_as_by_handseg_measure(
    visit: Visit, params: dict[str, Any], how: dict[str, Any]
) -> None:
    photo = {"photo": encode_image(SCENE.image, "x.png")}
    answer = visit(Painter()).post("/hands", files=photo, params=params)
    assert answer.status_code == 200, answer.text
    expected = hand_dict(measure_hand(SCENE, **how), fit=params.get("fit", "fitted"))
    assert answer.json()["measurement"] == json.loads(json.dumps(expected))
    schema.Numbers.model_validate_json(answer.content, strict=True)
    if "scale" in how:
        fingers = {one["finger"]: one for one in answer.json()["measurement"]["fingers"]}
        assert fingers["ring"]["width_mm"] == pytest.approx(WIDTHS_MM["ring"], rel=0.03)


def test_a_hand_that_cannot_be_measured_is_no_answer(visit: Visit) -> None:
    photo = {"photo": encode_image(SCENE.image, "x.png")}
    answer = visit(Painter()).post("/hands", files=photo, params={"scale": "card"})
    assert answer.status_code == 422
    assert "card" in answer.json()["detail"]
    assert "measurement" not in visit(Painter()).post("/hands", files=photo).json()


def test_a_failure_is_one_line_of_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of memory at /home/somebody")

    segmenter = red_segmenter()
    monkeypatch.setattr(segmenter, "segment", fail)
    workers = Workers([segmenter], queue=0)
    client = TestClient(create_app(workers, Limits(timeout=600)), raise_server_exceptions=False)
    for _ in range(2):  # Its place is free again.
        answer = client.post("/mask", files={"photo": png(LEFT)})
        assert answer.status_code == 500
        assert answer.json() == {"detail": "the server failed; its log says why"}
    assert workers.close(10)


def test_health(visit: Visit) -> None:
    answer = visit().get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "version": __version__}
