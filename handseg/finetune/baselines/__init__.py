"""Train the networks of earlier systems with the loop of `handseg finetune`."""
