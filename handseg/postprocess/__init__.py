"""Turn a model's logits into an alpha at the photo's resolution."""
