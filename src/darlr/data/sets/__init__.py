"""Public data sets and the built-in world: one file each."""
