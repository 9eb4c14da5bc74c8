"""DARLR: dual-agent offline reinforcement learning for recommender systems with dynamic reward."""

__version__ = "0.1.0"
