"""Build `handseg/assets/hand_landmarker.task` from the models in the `mediapipe==0.10.21` wheel.

MediaPipe's current releases ship no models; this one carries the palm detector and the hand
landmark model (Apache-2.0), which a plain stored zip turns into a bundle for MediaPipe Tasks.

    python prompts/build_landmarker.py
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "mediapipe==0.10.21"
MEMBERS = {
    "hand_detector.tflite": "mediapipe/modules/palm_detection/palm_detection_full.tflite",
    "hand_landmarks_detector.tflite": "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
}
OUTPUT = Path(__file__).parents[1] / "handseg" / "assets" / "hand_landmarker.task"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # fmt: off
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                   "--only-binary=:all:", "--python-version", "3.11",
                   "--platform", "manylinux_2_28_x86_64", "--dest", folder, WHEEL]
        # fmt: on
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        OUTPUT.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(OUTPUT, "w") as bundle:
            for name, member in MEMBERS.items():
                # A fixed date makes two builds equal to the byte. MediaPipe maps the models from
                # the file as they are: stored, not compressed, and at multiples of 16 bytes.
                entry = zipfile.ZipInfo(name, (2025, 1, 31, 0, 0, 0))
                data_start = bundle.fp.tell() + 30 + len(name)
                entry.extra = _padding(-data_start % 16)
                bundle.writestr(entry, source.read(member))
    print(f"wrote {OUTPUT} ({OUTPUT.stat().st_size} bytes)")


def _padding(length: int) -> bytes:
    """An extra field of a zip entry that fills `length` bytes; under 4 it takes 16 more."""
    length += 16 if 0 < length < 4 else 0
    return struct.pack("<HH", 0xD935, length - 4) + bytes(length - 4) if length else b""


if __name__ == "__main__":
    main()
