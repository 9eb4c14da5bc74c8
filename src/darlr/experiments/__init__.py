"""The stages from a data set to a trained policy and its evaluation, which commands and comparisons share."""
