"""The ground truth, the protocols and what they measure; nothing that learns may import this."""
