"""Text from data, made harmless to show: terminals and Markdown take some characters as commands."""

import re
from collections.abc import Sequence
from itertools import groupby

# all control characters except line feed and tab, and those that change the direction of text
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# an underscore within a word is no markup
MARKUP = re.compile(r"[\\`*\[\]<>|~$]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|^(?=[#>+-](?:\s|$))|^\d+(?=[.)](?:\s|$))")


def visible(text: str) -> str:
    """The text with control characters as Python escapes."""
    return CONTROL.sub(_spelt, text)


def one_line(text: str) -> str:
    """The text with control characters, line feeds and tabs as Python escapes."""
    return re.sub("[\n\t\u2028\u2029]", _spelt, visible(text))


def markdown(text: str) -> str:
    """One line of Markdown that shows the text literally."""
    return MARKUP.sub(lambda found: found[0] + "\\" if found[0].isdigit() else "\\" + found[0], one_line(text))


def plain(lines: Sequence[str]) -> list[str]:
    """Lines of Markdown for a terminal, without escapes and with aligned tables."""
    found = []
    for is_table, group in groupby(lines, key=lambda line: line.startswith("|")):
        if not is_table:
            found += [_unescaped(line) for line in group]
            continue
        rows = [_unescaped(line[2:-2]).split("\0") for line in group if not line.startswith("|---")]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, *numbers in rows:
            padded = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
            found.append("  ".join((name.ljust(widths[0]), *padded)))
    return found


def _unescaped(text: str) -> str:
    """The inverse of `markdown`, with NUL in place of the lines between cells."""
    return re.sub(r"\\(.)| \| ", lambda found: found[1] or "\0", text)


def _spelt(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
