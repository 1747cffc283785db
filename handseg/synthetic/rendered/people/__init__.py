"""Dressed people: skins, hair, clothes, and objects in their hands."""
