"""All that imports Blender: materials, the stage, renders."""
