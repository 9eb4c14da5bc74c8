"""Decisions of a served policy, with exact propensities: their log on disk, feedback, and the data set they make."""
