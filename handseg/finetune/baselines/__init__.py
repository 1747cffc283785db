"""Training of the networks that earlier systems used, in the loop of `handseg finetune`."""
