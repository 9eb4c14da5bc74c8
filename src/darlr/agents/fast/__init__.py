"""Fast twins of plain functions: they compute the same, up to rounding."""
