"""Find hands in a photo, with 21 landmarks each; a hand's anatomy."""

from handseg.landmarks.finder import HandFinder
from handseg.landmarks.found import FoundHand, HandBox, HandLandmarks
from handseg.landmarks.landmarker import HandLandmarker

__all__ = ["FoundHand", "HandBox", "HandFinder", "HandLandmarker", "HandLandmarks"]
