"""The grid behind `darlr compare`: cells of rows, seeds and exit windows, which run once and are reused."""
