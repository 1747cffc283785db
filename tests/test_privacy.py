"""Cutting out a hand tells nobody, and leaves nothing in the user's home."""

import os
import subprocess
import sys


def test_segmenting_leaves_no_trace_in_the_home_folder(photo_folder, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    for name in ("ORT_DISABLE_TELEMETRY", "USERPROFILE"):
        environment.pop(name, None)
    photo = sorted((photo_folder / "images").iterdir())[0]

    command = [sys.executable, "-m", "handseg", "segment", photo, "--output", tmp_path / "out"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)

    assert len(list((tmp_path / "out").iterdir())) == 1
    assert [path for path in home.rglob("*") if path.is_file()] == []
