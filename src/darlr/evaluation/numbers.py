"""The digits of the numbers of a table: enough to distinguish its rows."""

import math
from collections.abc import Iterable

MOST_DIGITS, SMALL, LARGE = 7, 0.01, 1e6  # beyond these a power of ten is shorter


def style(values: Iterable[float | None], least: int = 2) -> str:
    """Return a format such as ".2f": with three digits of the largest number, and two of its difference to the least.

    least: the least number of decimals for numbers from 1 to 10,000.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    top = max(map(abs, known), default=0.0)
    if not top:
        return f".{least}f"
    spread = max(known) - min(known)
    tops = math.floor(math.log10(top))
    # a difference in the last bits does not count
    apart = 1 - math.floor(math.log10(spread)) if spread > 1e-9 * top else -tops
    needed = max(2 - tops, apart)
    if needed > MOST_DIGITS or not SMALL <= top < LARGE:
        return f".{min(needed + tops, 9)}e"
    return f".{max(needed, least if tops < 4 else 0)}f"
