"""handseg sends no usage data, and leaves nothing in the user's home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from own_process import output_of
from tiny_models import save_tiny_model
from watched import Watched, has_networks, run_watched, start_watched

VARIABLES = "HF_HUB_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY"


AFTER_A_MINUTE = """
import sys, time
from handseg import HandLandmarker, load_image
photo = load_image(sys.argv[1])
end = time.monotonic() + 75
with HandLandmarker() as landmarker:
    while time.monotonic() < end:
        landmarker.detect(photo)
        time.sleep(0.5)
"""


@pytest.fixture(autouse=True, scope="module")
def more_than_a_minute(
    request: pytest.FixtureRequest, photo_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched | None]:
    """A program that looks for hands for 75 s, meanwhile: started before the other tests."""
    wanted = any(
        item.name == "test_mediapipe_sends_nothing_after_a_minute" for item in request.session.items
    )
    if not wanted or not has_networks():
        yield None
        return
    photo = sorted((photo_folder / "images").iterdir())[0]
    watched = start_watched(tmp_path_factory.mktemp("minute"), "-c", AFTER_A_MINUTE, photo)
    yield watched
    watched.kill()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_segmenting_opens_no_connection_and_leaves_nothing_in_the_home_folder(
    photo_folder: Path, tmp_path: Path
) -> None:
    photo = sorted((photo_folder / "images").iterdir())[0]

    asked = run_watched(tmp_path, "-m", "handseg", "segment", photo, "--output", tmp_path / "out")

    assert asked == []
    assert len(files_in(tmp_path / "out")) == 1
    assert files_in(tmp_path / "home") == []


def test_those_who_watch_see_connections(tmp_path: Path) -> None:
    code = """
import ctypes, socket, threading
try:
    socket.create_connection(("python.example", 80))
except OSError:
    pass
ctypes.CDLL(None).getaddrinfo(b"native.example", b"80", None, ctypes.byref(ctypes.c_void_p()))
"""
    expected = ["socket.getaddrinfo python.example"]
    if has_networks():
        expected = ["name server native.example", "name server python.example", *expected]
    assert run_watched(tmp_path, "-c", code) == expected


@pytest.mark.parametrize("command", ["info", "evaluate"])
def test_commands_open_no_connection(command: str, photo_folder: Path, tmp_path: Path) -> None:
    arguments = [photo_folder, "--output", tmp_path / "report"] if command == "evaluate" else []
    assert run_watched(tmp_path, "-m", "handseg", command, *arguments) == []


@pytest.mark.slow
def test_segmenting_held_objects_opens_no_connection(photo_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    photo = sorted((photo_folder / "images").iterdir())[0]
    command = ["-m", "handseg", "segment", photo, "--objects", "--output", tmp_path / "out"]
    assert run_watched(tmp_path, *command) == []


@pytest.mark.slow
def test_fine_tuning_opens_no_connection(photo_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    save_tiny_model("edgetam", tmp_path / "base")
    settings = {
        "data": {"source": str(photo_folder), "ratios": {"train": 0.5, "val": 0.25, "test": 0.25}},
        "model": str(tmp_path / "base"),
        "epochs": 1,
        "batch_size": 1,
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    command = ["-m", "handseg", "finetune", "--config", tmp_path / "run.yaml"]
    assert run_watched(tmp_path, *command, "--output", tmp_path / "run") == []


PAGE = """
import json, os, signal, subprocess, sys, time, urllib.request, urllib.error
host, port = sys.argv[1], "8599"
command = [sys.executable, "-m", "handseg", "app", "--no-browser", "--port", port, "--host", host]
server = subprocess.Popen(command)
try:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).read()
            break
        except OSError:
            assert server.poll() is None
            time.sleep(0.1)
    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20).read()
    # A visitor by a name that Streamlit does not know: it would ask for this machine's address.
    headers = {
        "Origin": "http://other.example", "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "MDEyMzQ1Njc4OTAxMjM0NQ==",
    }
    request = urllib.request.Request(f"http://127.0.0.1:{port}/_stcore/stream", headers=headers)
    try:
        print("refused", urllib.request.urlopen(request, timeout=20).status)
    except urllib.error.HTTPError as error:
        assert error.code == 403, error.code
    time.sleep(1)
finally:
    server.terminate()
    server.wait(20)
"""


SERVER = """
import subprocess, sys
import httpx
command = [sys.executable, "-m", "handseg", "serve", "--port", "0", "--host", sys.argv[1]]
with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
    try:
        port = server.stderr.readline().split()[2].rstrip(",").rpartition(":")[2]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client, \
                open(sys.argv[2], "rb") as photo:
            for path in ("/health", "/docs", "/openapi.json"):
                assert client.get(path).is_success
            assert client.post("/hands", files={"photo": photo}).is_success
            for url in ("http://other.example/a.jpg", "file:///etc/hosts"):
                for field in ({"photo": url}, {"url": (None, url)}):
                    assert client.post("/mask", files=field).status_code == 422
                query = {"background": url}
                assert client.post("/cutout", files={"photo": b"a"}, params=query).is_client_error
    finally:
        server.terminate()
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_server_opens_no_connection(host: str, photo_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    photo = sorted((photo_folder / "images").iterdir())[0]
    assert run_watched(tmp_path, "-c", SERVER, host, photo) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_page_opens_no_connection(host: str, tmp_path: Path) -> None:
    pytest.importorskip("streamlit")
    assert run_watched(tmp_path, "-c", PAGE, host) == []


@pytest.mark.skipif(not has_networks(), reason="needs a network of its own to see native code")
@pytest.mark.parametrize("cut", [True, False])
def test_mediapipe_sends_nothing_when_a_graph_is_freed(cut: bool, tmp_path: Path) -> None:
    code = """
import sys, time
import numpy as np
from handseg.landmarks._offline import cut_off
from handseg.landmarks.landmarker import BUNDLED_TASK
from mediapipe import Image, ImageFormat, tasks
if sys.argv[1] == "True":
    cut_off()
graph = tasks.vision.HandLandmarker.create_from_model_path(str(BUNDLED_TASK))
graph.detect(Image(image_format=ImageFormat.SRGB, data=np.zeros((192, 192, 3), np.uint8)))
graph.close()
time.sleep(2)
"""
    asked = run_watched(tmp_path, "-c", code, cut, LD_BIND_NOW="1" if cut else "")
    assert asked == ([] if cut else ["name server play.googleapis.com"])


@pytest.mark.parametrize("value", [None, "0", "1"])
def test_a_users_own_setting_is_kept(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    code = "import os, sys, handseg; print([os.environ[name] for name in sys.argv[1:]])"
    assert output_of(code, *VARIABLES) == str([value or "1"] * 2)


# Last, as it has to wait.
@pytest.mark.slow
@pytest.mark.skipif(not has_networks(), reason="needs a network of its own to see native code")
def test_mediapipe_sends_nothing_after_a_minute(more_than_a_minute: Watched) -> None:
    assert more_than_a_minute.asked() == []
