"""Photos with masks checked and repaired before anything is trained on them."""
