"""From a model's logits to an alpha at the photo's resolution."""
