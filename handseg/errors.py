"""The errors that callers may want to tell apart from a plain `ValueError`, and errors in words."""

from __future__ import annotations

import errno


class HandsegError(Exception):
    """Base of every error that handseg raises on purpose."""


class ImageError(HandsegError, ValueError):
    """An image cannot be read, or an array is not an image."""


class ModelError(HandsegError, ValueError):
    """A model, adapter or recipe cannot be loaded or does not fit the others."""


class MissingExtraError(ModelError):
    """A package is missing that only some uses need; the message says what to install.

    Attributes:
        package: by the name that is imported.
    """

    package: str = ""


class TrainingError(HandsegError, ValueError):
    """A training run cannot start or go on."""


class RunMismatch(HandsegError, ValueError):
    """A folder holds a run with other settings, or files that are of no run."""


class RenderingError(HandsegError, ValueError):
    """Pictures cannot be rendered as asked for."""


class ClusterError(HandsegError, ValueError):
    """A cluster does not answer, cannot be started, or gives up."""


class MeasurementError(HandsegError, ValueError):
    """A hand or a coin cannot be measured on this photo."""


def reason(error: Exception) -> str:
    """`error` in one line; those that nobody planned for get their type in front."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError):
        return text
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def nothing_can_be_written(error: Exception) -> bool:
    """Whether the next file would fail as this one did: the disk is full or read-only."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
