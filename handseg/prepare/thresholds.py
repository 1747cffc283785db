"""Limits for photos and masks used in training; imports nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Limits of `handseg prepare`; a pair beyond a limit is rejected, unless noted otherwise.

    The last four use hand landmarks.

    Attributes:
        min_coverage: smallest share of the frame that a mask covers.
        max_coverage: largest share.
        max_difference: mean difference, 0..255, between a cut-out and its photo.
        speck: islands of the mask without a landmark below this share of the largest island are
            dropped (a repair). A pair with a larger island out of the hand's reach is rejected.
        pinhole: holes below this share of the mask are filled (a repair).
        min_landmarks: share of a hand's landmarks on the mask; with fewer it is another hand.
        max_outside: share of the mask that is out of the hands' reach: neither near a hand nor
            where the forearm can be.
        min_filled: share of the hand's shape, as drawn from its landmarks, that the mask covers.
            Good masks have 0.75 and more, but objects in a hand hide parts of it.
        max_surplus: area of the mask outside that shape, yet near the hand and not on the forearm,
            as a share of the shape. Good masks have 0.6 and less.
    """

    min_coverage: float = 0.002
    max_coverage: float = 0.9
    max_difference: float = 25.0
    speck: float = 0.005
    pinhole: float = 0.0005
    min_landmarks: float = 0.6
    max_outside: float = 0.4
    min_filled: float = 0.65
    max_surplus: float = 0.7

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            highest = {"max_difference": 255, "max_surplus": 10}.get(name, 1)
            if not 0 <= value <= highest:
                raise ValueError(f"{name} must be in 0..{highest}, got {value}")
