"""The reward functions of all methods."""
