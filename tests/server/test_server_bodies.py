"""Bodies that are not photos are rejected with a one-line message; none makes the server fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from malformed import form, malformed, post
from red_hands import LEFT
from test_server_answers import png

from handseg.io.files import encode_image
from handseg.segmenter import HandSegmenter
from handseg.server.respond import Limits

Visit = Callable[..., TestClient]
PHOTO = png(LEFT)
FORM = {"Content-Type": "multipart/form-data; boundary=xyz"}


@pytest.mark.parametrize(
    ("photo", "told"),
    [
        (b"", "the image (0 bytes) is empty, expected an image"),
        (b"not a photo", "the image (11 bytes) is not an image that can be read"),
        (b"%PDF-1.7 and so on", "the image (18 bytes) is not an image that can be read"),
        (PHOTO[:200], "the image (200 bytes)"),
    ],
)
def test_files_that_are_no_photo(visit: Visit, photo: bytes, told: str) -> None:
    answer = visit().post("/cutout", files={"photo": photo})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(told)


def test_a_jpeg_that_is_cut_short(visit: Visit, photo_folder: Path) -> None:
    whole = (photo_folder / "images" / "2_pic00174.jpg").read_bytes()
    answer = visit().post("/cutout", files={"photo": whole[: len(whole) // 2]})
    assert answer.status_code == 422
    assert "may be truncated or damaged" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"picture": PHOTO}, "got picture;"),
        ([("photo", PHOTO), ("photo", PHOTO)], "got photo, photo;"),
        ({"photo": (None, PHOTO.hex())}, "got photo as text;"),
        (
            {"photo": PHOTO, "edge": (None, "hard")},
            "got photo, edge; options go in the query",
        ),
    ],
)
def test_forms_with_other_fields(visit: Visit, files: Any, told: str) -> None:
    answer = visit().post("/cutout", files=files)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("the form must have one field, the file photo, got")
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        (None, 415, "expected multipart/form-data with a file photo, got no type"),
        ("image/jpeg", 415, "expected multipart/form-data with a file photo, got image/jpeg"),
        ("multipart/form-data", 400, "the form is broken: Missing boundary"),
        ("multipart/form-data; boundary=other", 400, "the form is broken"),
        ("multipart/form-data; boundary=xyz; charset=idna", 200, ""),
    ],
)
def test_types_of_bodies(visit: Visit, kind: str | None, status: int, told: str) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = visit().post("/mask", content=form(PHOTO), headers=headers)
    assert answer.status_code == status
    assert not told or answer.json()["detail"].startswith(told)


def test_a_form_without_its_end(visit: Visit) -> None:
    answer = visit().post("/mask", content=form(PHOTO)[:-12], headers=FORM)
    assert answer.status_code == 400
    assert answer.json() == {"detail": "the form is broken: it has no end"}


def test_other_ways_and_places(visit: Visit) -> None:
    client = visit()
    assert client.get("/cutout").status_code == 405
    assert client.post("/health").status_code == 405
    assert client.post("/segment", files={"photo": PHOTO}).json() == {"detail": "Not Found"}


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (3, 2)])
def test_photos_of_odd_shapes_are_answered(
    visit: Visit, segmenter: HandSegmenter, shape: tuple[int, int]
) -> None:
    photo = encode_image(np.zeros((*shape, 3), np.uint8), "x.png")
    answer = visit(segmenter).post("/cutout", files={"photo": photo})
    assert (answer.status_code, answer.headers["Handseg-Hands"]) == (200, "0")


@pytest.mark.parametrize("count", [500, pytest.param(5000, marks=pytest.mark.slow)])
def test_nothing_malformed_makes_it_fail(visit: Visit, count: int) -> None:
    # Some photos become larger, and would only take more time.
    client = visit(limits=Limits(max_pixels=20_000, timeout=600))
    seen = Counter[int]()
    for number, (path, request) in enumerate(malformed(count, count)):
        answer = post(client, path, request)
        known = f"{number}: {path} {request.kind} {request.query} {request.body[:80]!r}"
        assert 400 <= answer.status_code < 500 or not request.surely, known
        assert answer.status_code in (200, 400, 413, 415, 422), f"{answer.status_code} {known}"
        seen[answer.status_code] += 1
    assert set(seen) == {200, 400, 413, 415, 422}
    assert seen[200] < count / 5
    assert client.post("/mask", files={"photo": PHOTO}).is_success


def test_what_is_no_http_ends_no_server(start_red: Callable[..., Any]) -> None:
    import socket

    server = start_red()
    host, port = server.url.removeprefix("http://").split(":")
    for noise in (b"\0" * 100, b"GET\r\n\r\n", b"POST /mask HTTP/9.9\r\n\r\n", b"A" * 100_000):
        with socket.create_connection((host, int(port)), timeout=60) as peer:
            peer.sendall(noise)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass
    assert httpx.post(f"{server.url}/mask", files={"photo": PHOTO}, timeout=60).is_success
