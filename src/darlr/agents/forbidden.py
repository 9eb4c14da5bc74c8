"""The logit of an action that may not be taken."""

FORBIDDEN = -1e30  # finite, so that 0 * log(0) is 0 and not NaN
