"""The options of `segment`: types, meaning, defaults and validation."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, get_args

from handseg.prompts.user import UserPrompts

Holes: TypeAlias = Literal["keep", "fill"]


class BatchOptions(TypedDict, total=False):
    """What to cut out of a photo, and how.

    Attributes:
        max_hands: maximum number of hands; the most confident ones are kept.
        finder: whether to use the hand finder, which shows MediaPipe where to look again, adds
            hands that MediaPipe misses and drops detections that are clearly wrong.
        forearm: False ends the mask at a straight line across the wrist, True includes a bare
            forearm, None follows the recipe saved with the weights.
        holes: "keep" keeps the holes in the model's mask, except tiny ones. "fill" includes
            anything on the palm or across a finger: a coin, ring, watch or bracelet. Gaps between
            spread fingers stay open. "fill" needs landmarks.
        objects: also segment the object in each hand, as `Hand.object_mask`, which is empty if it
            holds nothing. Pixels where the object is clearly more certain than the hand go to the
            object, so the hand's mask may differ from the one without `objects`. Needs landmarks,
            from MediaPipe or your own. Experimental: handseg-lite misses many objects and sees some
            in empty hands.
    """

    max_hands: int
    finder: bool
    forearm: bool | None
    holes: Holes
    objects: bool


class SegmentOptions(UserPrompts, BatchOptions, total=False):
    """Options of `segment`: those of `UserPrompts` and of `BatchOptions`."""


DEFAULTS: SegmentOptions = {
    "boxes": None,
    "points": None,
    "labels": None,
    "landmarks": None,
    "max_hands": 4,
    "finder": True,
    "forearm": None,
    "holes": "keep",
    "objects": False,
}


def given_prompts(options: SegmentOptions) -> list[str]:
    """Names of the prompts among `options`."""
    return [name for name in UserPrompts.__annotations__ if options.get(name) is not None]


def complete(options: SegmentOptions | BatchOptions) -> SegmentOptions:
    """Add defaults for missing options.

    Raises:
        TypeError: if an option is unknown.
        ValueError: if `max_hands` or `holes` has an invalid value.
    """
    check_names("segment", options, SegmentOptions)
    whole: SegmentOptions = {**DEFAULTS, **options}
    if whole["max_hands"] < 1:
        raise ValueError(f"max_hands must be at least 1, got {whole['max_hands']}")
    if whole["holes"] not in get_args(Holes):
        choices = " or ".join(map(repr, get_args(Holes)))
        raise ValueError(f"holes must be {choices}, got {whole['holes']!r}")
    return whole


def check_names(function: str, options: Mapping[str, object], kind: type) -> None:
    """Raise TypeError, like Python, if an option is not in `kind`, a TypedDict."""
    for name in options:
        if name not in kind.__annotations__:
            from difflib import get_close_matches

            near = get_close_matches(name, kind.__annotations__, 1, cutoff=0.7)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(_names(kind))}"
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}; {hint}")


def check_several(images: Iterable[object]) -> None:
    """Raise TypeError if `images` is a single one: a path, bytes, or an array without a batch."""
    if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview):
        got = repr(images) if isinstance(images, str | os.PathLike) else type(images).__name__
    elif getattr(images, "ndim", 0) in (2, 3):  # Of an array or a tensor, whose rows are no images.
        got = f"one of shape {tuple(getattr(images, 'shape', ()))}"
    else:
        return
    raise TypeError(f"images must be several images, such as a list, got {got}: use segment")


F = TypeVar("F", bound=Callable[..., object])
PLACEHOLDER = "**options: see `{}`."


def documents_options(kind: type) -> Callable[[F], F]:
    """Show the options of `kind` in the signature and docstring of a function that takes them.

    Type checkers know them by `**options: Unpack[kind]`; this is for `help()` and notebooks. The
    docstring names them in its Args as "**options: see `kind`."
    """

    def document(function: F) -> F:
        signature = inspect.signature(function)
        named = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        options = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=DEFAULTS.get(name),
                annotation=kind.__annotations__[name].__forward_arg__,
            )
            for name in _names(kind)
        ]
        shown: Any = function
        shown.__signature__ = signature.replace(parameters=[*named, *options])
        if function.__doc__:  # none under `python -OO`
            text = inspect.cleandoc(function.__doc__)
            place = PLACEHOLDER.format(kind.__name__)
            shown.__doc__ = text.replace(place, _documentation(kind))
        return function

    return document


def _names(kind: type) -> list[str]:
    return [name for name in DEFAULTS if name in kind.__annotations__]


def _documentation(kind: type) -> str:
    parts: list[type] = [UserPrompts, BatchOptions] if kind is SegmentOptions else [kind]
    texts = [inspect.cleandoc(part.__doc__ or "").partition("Attributes:\n")[2] for part in parts]
    return "\n".join(texts).strip()
