"""Measure fingers on a mask, in px or mm, and find ring sizes."""

from handseg.measure.card import Card, find_card
from handseg.measure.coin import find_coin
from handseg.measure.fingers import FingerMeasurement, HandMeasurement, measure_hand
from handseg.measure.report import finger_row, hand_dict
from handseg.measure.rim import Coin
from handseg.measure.ring_sizes import RingFit, RingSize, fit_rings, read_pairs, ring_size
from handseg.measure.scales import Scale, coins, parse_scale
from handseg.measure.sections import FINGERS

__all__ = [
    "FINGERS",
    "Card",
    "Coin",
    "FingerMeasurement",
    "HandMeasurement",
    "RingFit",
    "RingSize",
    "Scale",
    "coins",
    "find_card",
    "find_coin",
    "finger_row",
    "fit_rings",
    "hand_dict",
    "measure_hand",
    "parse_scale",
    "read_pairs",
    "ring_size",
]
