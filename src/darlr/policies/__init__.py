"""Rows that are not DARLR's family: bandits, model-free agents on logged sessions, supervised rankings."""
