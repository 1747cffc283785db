"""The server of `handseg serve`: send a photo over HTTP, get a cut-out, mask or numbers."""
