"""A trained policy for use: recommendations for a user and a session."""
