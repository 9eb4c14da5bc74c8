"""The commands, and `darlr --help`: what tyro would print, without the fifth of a second that its import takes."""

import os
import sys
from collections.abc import Iterator
from shutil import get_terminal_size
from textwrap import wrap

DESCRIPTION = "Learn a recommendation policy from logs, evaluate it, and use it."
COMMANDS = {
    "data": "Prepare and inspect data sets.",
    "fit": "Fit a world model to a log, and write it for `darlr train --world`.",
    "train": "Train a policy in sessions that a world model simulates.",
    "update": "Go on from a trained run with new events. The run itself does not change.",
    "evaluate": "Evaluate trained policies beside simple ones, in tables and pictures.",
    "compare": "Train many methods and seeds, and compare them in tables and pictures.",
    "tune": "Search options on held-out events of the log (extra `tune`). The same command continues an interrupted "
    "search.",
    "recommend": "Recommend items to users with a trained policy.",
    "serve": "Serve policies over HTTP (extra `serve`).",
    "replay": "Repeat logged decisions with the policies that made them, and count those that differ in a bit.",
    "export": "Write a row of the tables of a run as a policy that can be served.",
    "point": "Say which version of a policy is in use, such as an earlier one, or list the versions.",
}
HELP = ("-h, --help", "show this help message and exit")
BULLET = "  • "
INDENT = len(BULLET) + max(map(len, COMMANDS)) + 2  # of what is said of a command
NARROWEST = 50  # the columns below which tyro folds words that this module would not
PLAIN, BOLD, DIM, BORDER, RED = "", "1", "2", "37;2", "91"  # styles, as terminals number them

Spans = list[tuple[str, str]]  # pieces of a line, each with its style


def terminal() -> tuple[int, bool]:
    """The columns of the terminal, and whether it shows colours."""
    return get_terminal_size().columns, sys.stdout.isatty() and os.environ.get("TERM") not in (None, "dumb")


def overview(columns: int, *, colour: bool) -> list[str]:
    """The lines of `darlr --help` in a terminal of that many columns."""
    width = min(columns, INDENT + max(map(len, COMMANDS.values())) + 4)
    usage = [("usage:", BOLD), (f" darlr [-h] {{{','.join(COMMANDS)}}}", PLAIN)]
    commands = [row for name, text in COMMANDS.items() for row in _entry([(BULLET, DIM), (name, PLAIN)], text, width)]
    lines: list[Spans] = [usage, [], [(DESCRIPTION, PLAIN)], []]
    lines += _box("options", list(_entry([(HELP[0], PLAIN)], HELP[1], width)), width)
    lines += _box("subcommands", [[("(required)", RED)], *commands], width)
    return [
        "".join(f"\033[{style}m{text}\033[0m" if colour and style else text for text, style in one) for one in lines
    ]


def _entry(head: Spans, text: str, width: int) -> Iterator[Spans]:
    """Lines of a box: what is named, and beside it what is said of it."""
    for line in wrap(text, width - 4 - INDENT, break_on_hyphens=False):
        yield [*head, (" " * (INDENT - _length(head)), PLAIN), (line, DIM)]
        head = []


def _box(title: str, rows: list[Spans], width: int) -> Iterator[Spans]:
    yield [("╭─ ", BORDER), (title, BORDER), (f" {'─' * (width - 5 - len(title))}╮", BORDER)]
    for row in rows:
        yield [("│ ", BORDER), *row, (" " * (width - 3 - _length(row)), PLAIN), ("│", BORDER)]
    yield [(f"╰{'─' * (width - 2)}╯", BORDER)]


def _length(spans: Spans) -> int:
    return sum(len(text) for text, _ in spans)
