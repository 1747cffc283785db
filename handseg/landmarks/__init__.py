"""Hands found in a photo: 21 landmarks each, and what is known of a hand's anatomy."""

from handseg.landmarks.landmarker import HandLandmarker, HandLandmarks

__all__ = ["HandLandmarker", "HandLandmarks"]
