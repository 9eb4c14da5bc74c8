"""The baselines: bandits, model-free agents that learn from logged sessions, and supervised rankings."""
