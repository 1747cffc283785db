"""Optional packages, and what to install if one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from handseg.errors import MissingExtraError

_EXTRAS = {
    "accelerate": ("Accelerate", "train"),
    "datasets": ("datasets", "train"),
    "fastapi": ("FastAPI", "serve"),
    "filelock": ("filelock", "export"),
    "huggingface_hub": ("huggingface_hub", "sam"),
    "onnx": ("onnx", "export"),
    "onnxscript": ("onnxscript", "export"),
    "peft": ("PEFT", "sam"),
    "pydantic": ("pydantic", "train"),
    "python_multipart": ("python-multipart", "serve"),
    "ray": ("Ray", "ray"),
    "segment_anything": ("segment-anything", "sam"),
    "tensorboard": ("TensorBoard", "train"),
    "timm": ("timm", "sam"),
    "torch": ("PyTorch", "sam"),
    "torchvision": ("torchvision", "sam"),
    "transformers": ("transformers", "sam"),
    "uvicorn": ("Uvicorn", "serve"),
}
"""By import name: the name in messages, and the extra of handseg that installs it."""


@contextmanager
def needing_extras(what: str, extra: str | None = None) -> Iterator[None]:
    """Turn the failed import of an optional package into a line that says what to install.

    Args:
        what: name of what needs the imported packages; nested blocks report the outermost.
        extra: extra with all that `what` needs; None names the extra of the missing package.

    Raises:
        MissingExtraError: if the body imports an optional package that is missing.
    """
    try:
        yield
    except MissingExtraError as error:
        raise _error(what, error.package, extra) from error
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        raise _error(what, package, extra) from error


def _error(what: str, package: str, extra: str | None) -> MissingExtraError:
    title, smallest = _EXTRAS[package]
    error = MissingExtraError(f"{what} needs {title}: pip install 'handseg[{extra or smallest}]'")
    error.package = package
    return error
