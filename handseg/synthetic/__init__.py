"""Pictures of hands made by program, with exact truth."""
