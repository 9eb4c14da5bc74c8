"""The two agents and how they learn."""
