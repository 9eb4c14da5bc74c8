"""Anybody's own tables: files and frames, read with their faults named by column and row."""
