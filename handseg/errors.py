"""The errors that callers may want to tell apart from a plain `ValueError`."""


class HandsegError(Exception):
    """Base of every error that handseg raises on purpose."""


class ImageError(HandsegError, ValueError):
    """An image cannot be read, or an array is not an image."""


class ModelError(HandsegError, ValueError):
    """A model, adapter or recipe cannot be loaded or does not fit the others."""


class TrainingError(HandsegError, ValueError):
    """A training run cannot start or go on."""


class MeasurementError(HandsegError, ValueError):
    """A hand or a coin cannot be measured on this photo."""
