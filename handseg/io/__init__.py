"""Reading photos and writing image files."""
