"""Networks that label every pixel of a photo, without prompts."""
