"""The tables of results for a terminal; rich is imported when they are shown, and not before."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from darlr.evaluation.evaluate import Row
from darlr.evaluation.report import label, number_cells, styles, tables
from darlr.io.text import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def terminal_tables(rows: Sequence[Row], trained: Collection[int] = ()) -> list["Table"]:
    """The tables for a terminal of 80 columns: without IQM, and with R_random in place of R_each where it is known."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    found = []
    known = any(row.random is not None for row in rows)
    for title, group in tables(rows, trained):
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        forms = styles(group)
        usual = forms[0] == ".2f"
        shares = ("CV", "MCD") if usual else ()  # longer numbers would leave no room for names
        head = ("row", "R_tra", "95%", "Length", "R_random" if known else "R_each", *shares)
        for place, name in enumerate(head):
            table.add_column(name, justify="right" if place else "left", no_wrap=place > 0)
        for row in group:
            _, _, length, each, *others = number_cells(row, forms)
            random = "–" if row.random is None else format(row.random, ".1f" if usual else forms[0])
            ends = (".1f" if abs(row.mean) >= 10 else ".2f") if usual else forms[0]
            interval = f"{row.interval[0]:{ends}} to {row.interval[1]:{ends}}"
            numbers = (format(row.mean, forms[0]), interval, length, random if known else each, *others[: len(shares)])
            looks = {"learned": "bold green", "truth": "dim", "log": ""}[row.kind]
            table.add_row(Text(one_line(label(row))), *numbers, style=looks)
        found.append(table)
    return found


def print_tables(rows: Sequence[Row], trained: Collection[int] = (), console: "Console | None" = None) -> None:
    """Print every table, and what the marks mean. trained: see `darlr.evaluation.report.heading`."""
    if console is None:
        from rich.console import Console

        console = Console()
    for table in terminal_tables(rows, trained):
        console.print(table)
    console.print("† reads the rewards played on: a reference, not a method. Green: learned.", style="dim")
    if any(row.random is not None for row in rows):
        console.print(
            "R_random: Length times the mean random feedback on new items among those shown; not R_tra.", style="dim"
        )
