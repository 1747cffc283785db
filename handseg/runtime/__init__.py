"""Processes, threads, run folders and the versions that a result comes from."""
