"""Versions of the software that produced a result."""

from __future__ import annotations

import importlib.metadata
import platform

from handseg._version import __version__

_OPENCV_BUILDS = ("opencv-contrib-python", "opencv-contrib-python-headless", "opencv-python",
                  "opencv-python-headless")  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of handseg, Python and the main libraries; "missing" if not installed."""
    return {
        "handseg": __version__,
        "python": platform.python_version(),
        "onnxruntime": _version("onnxruntime", "onnxruntime-gpu"),
        "torch": _version("torch"),
        "transformers": _version("transformers"),
        "peft": _version("peft"),
        "mediapipe": _version("mediapipe"),
        "opencv": _version(*_OPENCV_BUILDS),
    }


def _version(*packages: str) -> str:
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "missing"
