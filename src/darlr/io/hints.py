"""Hints for misspelt names, in one form everywhere: perhaps you meant 'this'."""

import difflib
from collections.abc import Iterable


def perhaps(word: str, known: Iterable[str], otherwise: str = "", prefix: str = "") -> str:
    """ "perhaps you meant 'NAME'", where NAME is the known name most like the word; `otherwise` where none is like it.

    Upper and lower case count as the same. prefix: what is written before the name.
    """
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), lower, n=1)
    return f"perhaps you meant '{prefix}{lower[close[0]]}'" if close else otherwise
