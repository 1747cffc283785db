"""Fingers measured on a mask, in px or millimetres."""

from handseg.measure.coin import EURO_COINS, Coin, find_coin
from handseg.measure.fingers import FINGERS, FingerMeasurement, HandMeasurement, measure_hand

__all__ = [
    "EURO_COINS",
    "FINGERS",
    "Coin",
    "FingerMeasurement",
    "HandMeasurement",
    "find_coin",
    "measure_hand",
]
