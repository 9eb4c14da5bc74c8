"""Logs in: readers, the prepared folder, splits and the synthetic world."""
