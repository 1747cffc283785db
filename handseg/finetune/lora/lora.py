"""LoRA on a SAM-family model: which parts are trained."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

import peft
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from handseg.errors import ModelError
from handseg.models.adapters import use_tuned_mask, wrap
from handseg.runtime.config import STRICT, Count, Fraction, Positive

Placement = Literal["decoder", "decoder+neck", "all"]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)
MODULES_TO_SAVE = {
    "upscaling": r"mask_decoder\.((upscale|compress_vit|encoder|mask)_(conv\d|norm|layer_norm))",
    # SAM reads only its first mask token when a single mask is requested.
    "hypernetworks": r"mask_decoder\.(output_hypernetworks_mlps\.0|hq_mask_mlp)",
    "iou_head": r"mask_decoder\.iou_prediction_head",
}
"""Patterns for the modules of the mask decoder's parts that can be trained in full."""

# The skip projections are named as part of the decoder, but run in the encoder's pass.
_SKIPS = r"mask_decoder\.conv_s\d"
_SCOPES = {
    "decoder": rf"(?!{_SKIPS})mask_decoder\..+",
    "decoder+neck": r"(mask_decoder|vision_encoder\.neck)\..+",
    "all": r"(mask_decoder|vision_encoder)\..+",
}
_DECODER = r"mask_decoder\.transformer\..+"
# SAM 3's neck has a fourth level, which its tracker does not read.
_NECK = rf"vision_encoder\.neck\.(?!fpn_layers\.3\.).+|{_SKIPS}"
_ENCODER = r"vision_encoder\.(backbone\.)?(layers|blocks|timm_model)\..+"
_TARGETS = {
    "decoder": (_DECODER,),
    "decoder+neck": (_DECODER, _NECK),
    "all": (_DECODER, _NECK, _ENCODER),
}


@dataclass(frozen=True, config=STRICT)
class LoraSettings:
    """Which parts of a model are trained, and how.

    Attributes:
        rank: rank of the updates; the adapter's size is proportional to it.
        alpha: updates are scaled by `alpha / rank`. None is twice the rank, which keeps the scale,
            and so the best learning rate, the same at every rank.
        dropout: share of a LoRA branch's inputs that are zeroed in training.
        placement: "decoder" tunes the mask decoder and leaves the image embeddings unchanged;
            "decoder+neck" also tunes the projections between encoder and decoder; "all" also the
            encoder.
        targets: regular expressions for the full names of linear layers and convolutions, or for
            the last parts of their names, such as "q_proj", within the placement. None takes the
            attention projections and MLPs of the placement's transformers, and its convolutions if
            it includes a neck or a convolutional encoder. Grouped and transposed convolutions take
            no LoRA.
        modules_to_save: parts of the decoder that are trained in full: "upscaling",
            "hypernetworks", "iou_head". Each adds 0.3 to 0.6 MB to the adapter.
    """

    rank: Count = 8
    alpha: Positive | None = None
    dropout: Fraction = 0.0
    placement: Placement = "decoder"
    targets: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    modules_to_save: tuple[Literal["upscaling", "hypernetworks", "iou_head"], ...] = ()

    def __post_init__(self) -> None:
        for pattern in self.targets or ():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"targets: {pattern!r} is not a regular expression: {error}"
                ) from error

    @property
    def encoder_is_frozen(self) -> bool:
        """Whether training leaves `get_image_embeddings` unchanged, so that it can be cached."""
        return self.placement == "decoder"


def add_lora(model: Any, settings: LoraSettings) -> peft.PeftModel:
    """Add LoRA to `model`, in place, and freeze everything else.

    Initial weights are drawn from torch's global generator and change no output.

    Args:
        model: a transformers Sam, SamHQ, Sam2, EdgeTam or Sam3Tracker model.
        settings: which parts are trained.

    Raises:
        ModelError: one of the targets matches no module that can be trained with these settings.
    """
    targets = _find_targets(model, settings)
    names = [name for name, _ in model.named_modules()]
    whole = [
        name
        for part in settings.modules_to_save
        for name in names
        if re.fullmatch(MODULES_TO_SAVE[part], name)
    ]
    for name in targets:
        if any(name.startswith(f"{part}.") for part in whole):
            raise ModelError(
                f"targets: {name} is in a part that is trained whole: {settings.modules_to_save}"
            )
    alpha: Any = 2 * settings.rank if settings.alpha is None else settings.alpha  # a float, too
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=alpha,
        lora_dropout=settings.dropout,
        # A single expression: peft saves lists of names in an order that differs between runs.
        target_modules="|".join(map(re.escape, targets)),
        modules_to_save=whole or None,
    )
    use_tuned_mask(model)
    return wrap(model, config)


def _find_targets(model: Any, settings: LoraSettings) -> list[str]:
    """Return the names of the modules that get LoRA, in the model's order."""
    layers = [name for name, module in model.named_modules() if _takes_lora(module)]
    scope = [name for name in layers if re.fullmatch(_SCOPES[settings.placement], name)]
    found: set[str] = set()
    for pattern in settings.targets or _TARGETS[settings.placement]:
        matching = _matching(pattern, layers)
        inside = [name for name in matching if name in scope]
        if matching and not inside:
            raise ModelError(
                f"targets: {pattern!r} matches {matching[0]}, which placement "
                f"{settings.placement!r} leaves as it is"
            )
        if not inside:
            raise ModelError(
                f"targets: {pattern!r} matches no linear layer or convolution of "
                f"{type(model).__name__} that takes LoRA; there are "
                f"{', '.join(_suggestions(pattern, scope))}"
            )
        found.update(inside)
    return [name for name in scope if name in found]


def _takes_lora(module: torch.nn.Module) -> bool:
    # A grouped convolution's update has a rank of at least its groups.
    return isinstance(module, torch.nn.Linear) or (
        isinstance(module, torch.nn.Conv2d) and module.groups == 1
    )


def _matching(pattern: str, names: Iterable[str]) -> list[str]:
    expression = re.compile(rf"(?:.+\.)?(?:{pattern})")
    return [name for name in names if expression.fullmatch(name)]


def _suggestions(pattern: str, names: list[str]) -> list[str]:
    """Return up to four `names` most similar to `pattern`, only the first of numbered ones."""
    kinds: dict[str, str] = {}
    for name in names:
        kinds.setdefault(re.sub(r"\d+", "N", name), name)
    wanted = re.sub(r"[^\w.]", "", pattern)

    def likeness(name: str) -> float:
        # Patterns are often just the last part of a name.
        ends = (name, name.rpartition(".")[2])
        return max(difflib.SequenceMatcher(None, wanted, end).ratio() for end in ends)

    return sorted(kinds.values(), key=likeness, reverse=True)[:4]
