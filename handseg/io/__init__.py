"""Photos in, files out."""
