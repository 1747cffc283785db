"""handseg on engines for large data: Hugging Face datasets and Ray."""
