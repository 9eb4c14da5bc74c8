"""Logs: how they are read, prepared, split and described."""
