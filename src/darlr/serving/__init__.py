"""A trained policy for use: see darlr.serving.recommender."""
