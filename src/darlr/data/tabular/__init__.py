"""Readers of users' own files and frames. Errors name the column and row of a fault."""
