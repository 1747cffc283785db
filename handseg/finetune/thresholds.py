"""What a photo and its mask must be like to be trained on; imports nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Limits of `handseg prepare`; a pair beyond one of them is rejected, unless said otherwise.

    The last four look at hand landmarks. Sizes of hands are those of
    `handseg.prompts.anatomy.hand_size`, about the length of the palm.

    Attributes:
        min_coverage: the least share of the frame that a mask covers.
        max_coverage: the largest.
        max_difference: the mean difference, 0..255, between a cut-out and its photo.
        speck: islands of the mask without a landmark below this share of the largest island are
            dropped (a repair). A pair with a larger one out of the hand's reach is rejected.
        pinhole: holes below this share of the mask are filled (a repair).
        min_landmarks: the share of a hand's landmarks on the mask; with fewer it is another hand.
        max_outside: the share of the mask that is out of the hands' reach: neither near a hand nor
            where the forearm can be.
        max_hand_area: the part of the mask near a hand and on the fingers' side of its wrist, in
            squares of the hand's size. Good masks have 0.6 to 2.7.
    """

    min_coverage: float = 0.002
    max_coverage: float = 0.9
    max_difference: float = 25.0
    speck: float = 0.005
    pinhole: float = 0.0005
    min_landmarks: float = 0.6
    max_outside: float = 0.4
    max_hand_area: float = 3.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            highest = {"max_difference": 255.0, "max_hand_area": float("inf")}.get(name, 1.0)
            if not 0 <= value <= highest:
                raise ValueError(f"{name} must be in 0..{highest:g}, got {value}")
