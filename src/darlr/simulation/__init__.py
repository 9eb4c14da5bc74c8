"""The simulated session, its exit rules and its rewards."""
