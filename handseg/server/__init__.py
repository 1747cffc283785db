"""The server of `handseg serve`: a photo in over HTTP; cut-out, mask or numbers out."""
