"""The same as plain functions compute, faster."""
