"""Support for large data: Hugging Face datasets and Ray."""
