"""Limits on bytes, pixels, time and places: excess is rejected, and the server keeps running."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from red_hands import LEFT, red_segmenter
from test_server_answers import png

from handseg.server.respond import Limits
from handseg.server.workers import Busy, Workers

Visit = Callable[..., TestClient]
Start = Callable[..., Any]
PHOTO = png(LEFT)


def soon(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class TestBytes:
    def test_a_body_over_the_limit_is_refused(self, visit: Visit) -> None:
        client = visit(limits=Limits(max_bytes=len(PHOTO) + 500, timeout=600))
        assert client.post("/mask", files={"photo": PHOTO}).status_code == 200
        answer = client.post("/mask", files={"photo": PHOTO + bytes(1000)})
        assert answer.status_code == 413
        assert "MB" in answer.json()["detail"]

    def test_one_of_unknown_length_is_not_read_to_its_end(self, visit: Visit) -> None:
        sent = 0

        def chunks() -> Iterator[bytes]:
            nonlocal sent
            yield b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
            for _ in range(1000):
                sent += 1000
                yield bytes(1000)
            yield b"\r\n--x--\r\n"

        client = visit(limits=Limits(max_bytes=20_000, timeout=600))
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = client.post("/mask", content=chunks(), headers=kind)
        assert answer.status_code == 413

    def test_the_answer_reaches_a_client_that_sends_on(self, start_red: Start) -> None:
        server = start_red("--max-megabytes", "0.5")
        answer = httpx.post(f"{server.url}/mask", files={"photo": bytes(8_000_000)}, timeout=60)
        assert answer.status_code == 413
        assert answer.json() == {"detail": "the request must have at most 0.5 MB"}
        assert httpx.post(f"{server.url}/mask", files={"photo": PHOTO}, timeout=60).is_success


def bomb(width: int, height: int) -> bytes:
    """Make a PNG of a few bytes that claims to have this many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + end

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


class TestPixels:
    @pytest.mark.parametrize("size", [(30_000, 30_000), (10_000, 5_001), (2**31 - 1, 2**31 - 1)])
    def test_bombs_are_refused_before_they_are_decoded(
        self, visit: Visit, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("was decoded"))
        answer = visit().post("/mask", files={"photo": bomb(*size)})
        assert answer.status_code == 413
        told = f"the photo has {size[0]} x {size[1]} px, expected at most 50 megapixels"
        assert answer.json() == {"detail": told}

    def test_the_limit_itself_is_allowed(self, visit: Visit) -> None:
        client = visit(limits=Limits(max_pixels=160 * 120, timeout=600))
        assert client.post("/mask", files={"photo": PHOTO}).is_success
        larger = png(LEFT, size=(161, 120))
        assert client.post("/mask", files={"photo": larger}).status_code == 413


class TestTime:
    def test_a_photo_that_takes_too_long(self, visit: Visit, gate: Any) -> None:
        client = visit(gate, queue=0, limits=Limits(timeout=0.3))
        answer = client.post("/mask", files={"photo": PHOTO})
        assert answer.status_code == 503
        assert answer.json() == {"detail": "the photo was not done within 0.3 s"}
        assert int(answer.headers["Retry-After"]) >= 1
        # Its thread is still busy, so there is no place for another.
        again = client.post("/mask", files={"photo": PHOTO})
        assert again.json() == {"detail": "too many photos are waiting"}
        gate.opened.set()
        soon(lambda: client.post("/mask", files={"photo": PHOTO}).is_success)

    def test_an_upload_that_takes_too_long(self, start_red: Start) -> None:
        server = start_red("--timeout", "0.5")
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as slow:
            slow.sendall(
                b"POST /mask HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            )
            answer = b""
            while part := slow.recv(4096):  # Until the server closes the connection.
                answer += part
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'{"detail":"the photo did not arrive within 0.5 s"}' in answer


class TestPlaces:
    def test_when_all_are_taken_the_next_is_refused(self, visit: Visit, gate: Any) -> None:
        client = visit(gate, queue=0)
        first = threading.Thread(
            target=client.post, args=("/mask",), kwargs={"files": {"photo": PHOTO}}
        )
        first.start()
        assert gate.entered.acquire(timeout=60)
        answer = client.post("/mask", files={"photo": PHOTO})
        assert answer.status_code == 503
        assert answer.json() == {"detail": "too many photos are waiting"}
        assert int(answer.headers["Retry-After"]) >= 1
        assert client.get("/health").is_success
        gate.opened.set()
        first.join(60)
        soon(lambda: client.post("/mask", files={"photo": PHOTO}).is_success)

    def test_a_refused_request_gives_its_place_back(self, visit: Visit) -> None:
        client = visit(queue=0)
        for _ in range(5):
            assert client.post("/mask", files={"photo": b"no photo"}).status_code == 422
            assert client.post("/mask", content=b"").status_code == 415
            assert client.post("/mask", files={"picture": PHOTO}).status_code == 422
        assert client.post("/mask", files={"photo": PHOTO}).is_success

    def test_there_are_as_many_as_threads_and_queue(self, gate: Any) -> None:
        async def run() -> None:
            workers = Workers([red_segmenter(), red_segmenter()], queue=1)
            with workers.place(), workers.place() as start, workers.place():
                with pytest.raises(Busy), workers.place():
                    pass
                assert await start(lambda segmenter: len(segmenter.segment(PHOTO))) == 1
            with workers.place(), workers.place(), workers.place():
                pass
            assert workers.close(10)

        asyncio.run(run())

    def test_what_has_not_begun_is_given_up(self) -> None:
        done: list[str] = []
        wait = threading.Event()

        def work(name: str) -> Callable[[Any], None]:
            return lambda _: (wait.wait(60), done.append(name))[1]

        async def run() -> None:
            workers = Workers([red_segmenter()], queue=1)
            with workers.place() as begin:
                begun = begin(work("first"))
                with workers.place() as start:
                    start(work("second")).cancel()
                end = time.monotonic() + 60
                while True:
                    try:
                        with workers.place():  # Its place is free again.
                            break
                    except Busy:
                        assert time.monotonic() < end
                        await asyncio.sleep(0.01)
                wait.set()
                await begun
            assert workers.close(10)
            assert done == ["first"]

        asyncio.run(run())

    def test_what_is_given_up_leaves_the_memory(self, gate: Any) -> None:
        async def run() -> None:
            workers = Workers([gate], queue=1)
            with workers.place() as begin:
                begun = begin(lambda segmenter: len(segmenter.segment(PHOTO)))
                photo = np.zeros(8, np.uint8)
                held = weakref.ref(photo)
                with workers.place() as start:
                    start(partial(len, photo)).cancel()
                del photo
                await asyncio.sleep(0)  # asyncio passes the news on.
                gc.collect()
                assert held() is None
                gate.opened.set()
                assert await begun == 1
            assert workers.close(10)

        asyncio.run(run())

    @pytest.mark.slow
    def test_nobody_works_for_a_client_that_left(self, start_red: Start, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        server = start_red("--jobs", "1", RED_DELAY="4", RED_LOG=str(log))
        url = f"{server.url}/mask"

        def begun() -> int:
            return log.read_text().count("\n") if log.exists() else 0

        first = threading.Thread(
            target=httpx.post, args=(url,), kwargs={"files": {"photo": PHOTO}, "timeout": 60}
        )
        first.start()
        soon(lambda: begun() == 1)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, files={"photo": PHOTO}, timeout=httpx.Timeout(30, read=0.2))
        first.join(60)
        assert httpx.post(url, files={"photo": PHOTO}, timeout=60).is_success
        assert begun() == 2
