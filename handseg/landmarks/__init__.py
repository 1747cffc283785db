"""Hands found in a photo: 21 landmarks each, and what is known of a hand's anatomy."""

from handseg.landmarks.found import HandLandmarks
from handseg.landmarks.landmarker import HandLandmarker, start_quietly

__all__ = ["HandLandmarker", "HandLandmarks", "start_quietly"]
