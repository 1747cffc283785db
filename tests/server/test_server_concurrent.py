"""Several clients of one server at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from handseg.io.files import encode_image
from handseg.segmenter import HandSegmenter


def test_each_gets_the_answer_to_its_own_photo(
    server: Any, segmenter: HandSegmenter, photo_folder: Path
) -> None:
    paths = sorted((photo_folder / "images").iterdir())
    expected = {path: encode_image(segmenter.segment(path).mask, "x.png") for path in paths}

    def ask(path: Path) -> bytes:
        with path.open("rb") as file:
            answer = httpx.post(f"{server.url}/mask", files={"photo": file}, timeout=600)
        assert answer.status_code == 200, answer.text
        return answer.content

    wanted = paths * 4
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(ask, wanted))
    for path, answer in zip(wanted, answers, strict=True):
        assert answer == expected[path]


def test_more_than_there_is_room_for_are_sent_away(start_red: Any) -> None:
    from test_server_limits import PHOTO

    server = start_red("--jobs", "1", "--queue", "1", RED_DELAY="1")

    def ask(_: int) -> httpx.Response:
        return httpx.post(f"{server.url}/mask", files={"photo": PHOTO}, timeout=600)

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(ask, range(8)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}
    assert all("Retry-After" in one.headers for one in answers if one.status_code == 503)
