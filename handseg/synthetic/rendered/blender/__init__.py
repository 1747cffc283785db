"""All code that imports Blender: materials, the stage, renders."""
