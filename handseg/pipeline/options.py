"""The options of `segment`: their types, meaning, defaults and checks, for all that take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, get_args

from handseg.prompts.user import UserPrompts

Holes: TypeAlias = Literal["keep", "fill"]


class BatchOptions(TypedDict, total=False):
    """What to cut out of a photo, and how.

    Attributes:
        max_hands: how many hands may be found at most; the most confident ones are kept.
        finder: whether the hand finder says where MediaPipe should look again, adds hands that
            MediaPipe does not see and drops what it is sure is none.
        forearm: False ends the mask at a straight line across the wrist, True includes a bare
            forearm, None follows the recipe that came with the weights.
        holes: "keep" leaves out what the model leaves out, except pinholes. "fill" counts what lies
            on the palm or across a finger as hand: a coin, ring, watch or bracelet. Gaps between
            spread fingers stay. "fill" needs landmarks.
        objects: also segment what each hand holds: `Hand.object_mask`, empty where it holds
            nothing. Where the object is clearly more certain it takes pixels from the hand, so the
            hand's mask may differ from that without `objects`. Needs landmarks, MediaPipe's or your
            own. Experimental: handseg-lite misses many objects and sees some in empty hands.
    """

    max_hands: int
    finder: bool
    forearm: bool | None
    holes: Holes
    objects: bool


class SegmentOptions(UserPrompts, BatchOptions, total=False):
    """What `segment` takes: those of `UserPrompts` and of `BatchOptions`."""


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
    """The names of the prompts among `options`."""
    return [name for name in UserPrompts.__annotations__ if options.get(name) is not None]


def complete(options: SegmentOptions | BatchOptions) -> SegmentOptions:
    """`options` and the defaults of those that are left out.

    Raises:
        TypeError: if there is no such option.
        ValueError: if `max_hands` or `holes` have a value that they cannot have.
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
    """Raise TypeError, as Python does, if one of `options` is none of `kind`, a TypedDict."""
    for name in options:
        if name not in kind.__annotations__:
            from difflib import get_close_matches

            near = get_close_matches(name, kind.__annotations__, 1, cutoff=0.7)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(_names(kind))}"
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}; {hint}")


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
