"""Train the network that finds hands in whole photos, `handseg.landmarks.finder`."""
