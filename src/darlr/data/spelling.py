"""The spelling of texts: invisible characters, and words that mean that there is no value."""

import re
import unicodedata

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" + (
    "\u2028\u2029\u202f\u205f\u3000"
)
# Soft hyphen, zero-width spaces and joiners, marks of direction, byte-order mark: shown as nothing.
INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064" + (
    "\u2066\u2067\u2068\u2069\ufeff"
)
# What databases, pandas, R, Python, JavaScript and spreadsheets write into a text file where there is no value.
NO_VALUE = ("NULL", "null", "\\N", "<NA>", "NaN", "nan", "NAN", "NaT", "#N/A", "undefined")
NO_ID = (*NO_VALUE, "None")  # a category may be called "None"
DOUBTFUL = ("NA", "N/A", "n/a", "none", "NONE", "nil", "nul", "unknown", "Unknown", "missing", "-", "?", "(null)")
WHOLE = r"^(0|-?[1-9]\d*)(\.0*)?$"


def plain(text: str) -> str:
    """The text without spaces and invisible characters around it, in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text.strip(SPACES + INVISIBLE))


def without_point(number: str) -> str:
    """A whole number without a point and zeros; any other text as it is."""
    return number.partition(".")[0] if re.fullmatch(WHOLE, number) else number
