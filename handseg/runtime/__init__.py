"""General utilities: processes, threads, files, settings, arrays."""
