"""What is not about hands: processes, threads, files, settings, arrays."""
