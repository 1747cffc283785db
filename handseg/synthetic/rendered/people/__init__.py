"""Dressed people: skins, hair, clothes, and things in their hands."""
