"""A trained policy for use: see darlr.serving.policy, and darlr.serving.recommender for one user at a time."""
