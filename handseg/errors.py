"""Exceptions of the package, and errors as one-line messages."""

from __future__ import annotations

import errno


class HandsegError(Exception):
    """Base of every error that handseg raises on purpose."""


class ImageError(HandsegError, ValueError):
    """An image cannot be read, or an array is not an image."""


class ModelError(HandsegError, ValueError):
    """A model, adapter or recipe cannot be loaded or does not fit the others."""


class MissingExtraError(ModelError):
    """An optional package is missing; the message says what to install.

    Attributes:
        package: name of the module that could not be imported.
    """

    package: str = ""


class TrainingError(HandsegError, ValueError):
    """A training run cannot start or continue."""


class RunMismatch(HandsegError, ValueError):
    """A folder holds a run with other settings, or files that do not belong to a run."""


class RenderingError(HandsegError, ValueError):
    """Pictures cannot be rendered as requested."""


class ClusterError(HandsegError, ValueError):
    """A cluster does not answer, cannot be started, or fails."""


class MeasurementError(HandsegError, ValueError):
    """A hand or a coin cannot be measured in this photo."""


def reason(error: Exception) -> str:
    """One-line message for `error`; unexpected errors are prefixed with their type."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError):
        return text
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def nothing_can_be_written(error: Exception) -> bool:
    """Whether the next file would fail, too, because the disk is full or read-only."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
