"""World models: one file each."""
