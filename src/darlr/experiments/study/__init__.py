"""The grid behind `darlr compare`: rows, seeds and exit windows as cells that are run once and reused."""
