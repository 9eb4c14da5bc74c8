"""A trained policy for use: see darlr.serving.policy, and darlr.serving.strategy for how items are chosen."""
