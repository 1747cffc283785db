"""Query parameters: those of `segment()`; each wrong one is answered with a line naming it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from red_hands import LEFT
from test_server_answers import png

from handseg.pipeline.options import DEFAULTS, SegmentOptions
from handseg.server.query import CutoutQuery, NumbersQuery, Query

Visit = Callable[..., TestClient]
PHOTO = png(LEFT)


def test_they_have_the_names_and_defaults_of_segment() -> None:
    fields = Query.model_fields
    assert set(fields) == set(SegmentOptions.__annotations__)
    assert {name: field.default for name, field in fields.items()} == DEFAULTS
    assert Query().options() == DEFAULTS
    assert set(CutoutQuery.model_fields) - set(fields) == {"edge", "background"}
    assert set(NumbersQuery.model_fields) - set(fields) == {"scale", "mm_per_px", "fit"}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("edge=smooth", "edge must be one of soft, hard, matte, got 'smooth'"),
        ("holes=both", "holes must be one of keep, fill, got 'both'"),
        ("max_hands=0", "max_hands must be at least 1, got '0'"),
        ("max_hands=11", "max_hands must be at most 10, got '11'"),
        ("max_hands=some", "max_hands must be a whole number, got 'some'"),
        ("max_hands=" + "9" * 5000, "max_hands must be a whole number of few digits, got"),
        ("finder=perhaps", "finder must be true or false, got 'perhaps'"),
        ("forearm=2", "forearm must be true or false, got '2'"),
        ("background=blurple", "background must be a colour name"),
        ("background=", "background must be a colour name"),
        ("background=rgba(1,2,3,4)", "background must be a colour name"),
        ("boxes=1,2,3,4", "boxes must be lists of numbers in JSON, got '1,2,3,4'"),
        ("boxes=[1,2,3]", "boxes must be (K, 4) finite numbers, got (3,)"),
        ("boxes=[[1,2,3,4],[5]]", "boxes must be lists of numbers in JSON"),
        ("boxes=[9,9,1,1]", "boxes must be xyxy with x1 > x0, y1 > y0 in the photo of 160 x 120"),
        ("boxes=[NaN,1,2,3]", "boxes must be (K, 4) finite numbers"),
        ("boxes=[1e999,1,2,3]", "boxes must be (K, 4) finite numbers"),
        ("boxes=[" + "9" * 400 + ",1,2,3]", "boxes must be lists of numbers in JSON"),
        ("boxes=" + "[" * 3000, "boxes must be lists of numbers in JSON"),
        ('boxes={"a":1}', "boxes must be lists of numbers in JSON"),
        (
            "boxes=" + json.dumps([[1, 1, 90, 90]] * 11),
            "boxes must be for at most 10 hands, got 11",
        ),
        ("points=[[1,1]]&labels=[7]", "labels must be 0 or 1"),
        ("points=[[999,1]]", "points must lie in the photo of 160 x 120 px"),
        ("points=" + json.dumps([[1, 1]] * 101), "points must be at most 100 per hand, got 101"),
        ("labels=[1]", "labels need points"),
        ("landmarks=[[1,2]]", "landmarks must be (K, 21, 2) finite numbers"),
        ("boxes=[1,1,90,90]&landmarks=[]", "give boxes or landmarks, not both"),
        ("max_hands=0&edge=smooth", "max_hands must be at least 1, got '0'; edge must be one of"),
    ],
)
def test_wrong_values_of_a_cutout(visit: Visit, query: str, told: str) -> None:
    answer = visit().post(f"/cutout?{query}", files={"photo": PHOTO})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(told)
    assert len(answer.json()["detail"]) < 300


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("scale=2 eura", "scale: '2 eura' is not a known coin; did you mean '2 euro'?"),
        ("scale=5mm", "scale: a coin's diameter must be 10 to 60 mm, got 5"),
        ("scale=card&scale=2 euro", "scale: a card cannot be combined with a coin"),
        ("scale=1 euro&scale=2 euro&scale=1 cent", "scale: a scale is one or two coins, got 3"),
        ("scale=card&mm_per_px=0.1", "give either scale or mm_per_px"),
        ("mm_per_px=0", "mm_per_px must be above 0, got '0'"),
        ("mm_per_px=inf", "mm_per_px must be a finite number, got 'inf'"),
        ("mm_per_px=thin", "mm_per_px must be a number, got 'thin'"),
        ("fit=tight", "fit must be one of fitted, loose, got 'tight'"),
    ],
)
def test_wrong_scales(visit: Visit, query: str, told: str) -> None:
    answer = visit().post(f"/hands?{query}", files={"photo": PHOTO})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(told)


@pytest.mark.parametrize(
    ("path", "query", "told"),
    [
        ("/cutout", "holez=fill", "unknown query parameter 'holez'; did you mean holes?"),
        ("/cutout", "url=http://example.org/a.jpg", "unknown query parameter 'url'; known are max"),
        ("/mask", "edge=hard", "unknown query parameter 'edge'; known are"),
        ("/mask", "scale=card", "unknown query parameter 'scale'; known are"),
        ("/hands", "background=white", "unknown query parameter 'background'; known are"),
    ],
)
def test_unknown_parameters_are_named(visit: Visit, path: str, query: str, told: str) -> None:
    answer = visit().post(f"{path}?{query}", files={"photo": PHOTO})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(told)


def test_a_background_is_never_a_file(visit: Visit, photo_folder: str) -> None:
    params = {"background": f"{photo_folder}/images/2_pic00174.jpg"}
    answer = visit().post("/cutout", files={"photo": PHOTO}, params=params)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("background must be a colour name")


class TestDocumentation:
    def test_says_all_of_each_parameter(self, visit: Visit) -> None:
        told = visit().get("/openapi.json").json()
        assert set(told["paths"]) == {"/cutout", "/mask", "/hands", "/health"}
        for path, model in {
            "/cutout": CutoutQuery, "/mask": Query, "/hands": NumbersQuery,
        }.items():  # fmt: skip
            route = told["paths"][path]["post"]
            assert route["summary"]
            assert route["description"]
            parameters = {one["name"]: one for one in route["parameters"]}
            assert set(parameters) == set(model.model_fields)
            assert all(one["description"] and one["in"] == "query" for one in parameters.values())
            form = route["requestBody"]["content"]["multipart/form-data"]["schema"]
            assert form["properties"]["photo"]["format"] == "binary"
            problems = {"400", "408", "413", "415", "422", "500", "503"}
            assert set(route["responses"]) == {"200", *problems}
            for status in problems:
                schema = route["responses"][status]["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}
        kinds = [set(told["paths"][path]["post"]["responses"]["200"]["content"])
                 for path in ("/cutout", "/mask", "/hands")]  # fmt: skip
        assert kinds == [{"image/png"}, {"image/png"}, {"application/json"}]

    def test_its_examples_work(self, visit: Visit) -> None:
        client, photo = visit(), png(LEFT, size=(640, 480))
        told = client.get("/openapi.json").json()
        shown = [
            (path, one["name"], example)
            for path in ("/cutout", "/hands")
            for one in told["paths"][path]["post"]["parameters"]
            for example in one["schema"].get("examples", [])
        ]
        assert {name for _, name, _ in shown} == {
            "boxes", "points", "labels", "background", "scale",
        }  # fmt: skip
        for path, name, example in shown:
            params = {name: example} | (
                {"points": "[[9, 9], [60, 60]]"} if name == "labels" else {}
            )
            answer = client.post(path, files={"photo": photo}, params=params)
            # The scale is valid, but the photo does not show it.
            missing = name == "scale" and re.search("no (complete coin|card)", answer.text)
            assert answer.is_success or missing, (params, answer.text)

    def test_has_a_page(self, visit: Visit) -> None:
        page = visit().get("/docs")
        assert page.status_code == 200
        assert "swagger" in page.text
