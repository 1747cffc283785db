"""Fine-tuning a SAM-family model with LoRA."""
