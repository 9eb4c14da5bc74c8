"""What commands and comparisons share: the stages from a data set to a trained policy."""
