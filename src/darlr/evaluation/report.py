"""Tables of results: Markdown for reports, and rich for the terminal."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any

from darlr.evaluation.evaluate import Row
from darlr.evaluation.numbers import style
from darlr.evaluation.statistics import Comparison
from darlr.io.text import markdown as shown
from darlr.io.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

HEAD = ("row", "R_tra [95%]", "IQM [95%]", "Length", "R_each", "CV", "MCD", "seeds")
MEASURES = (
    "R_tra is the mean summed reward of a session, with its 95% interval over seeds and users. IQM is the "
    "interquartile mean of the same returns, R_each is R_tra / Length, CV is the share of the catalogue that was "
    "recommended, and MCD is the share of recommendations from the majority categories."
)
NOTES = (
    f"{MEASURES} Bold rows learned from the log. † marks a reference that reads the rewards that sessions are played "
    "on: it is not a method."
)
RANDOM = "R_random [95%]"
RANDOM_NOTE = (
    "R_random is Length times the mean feedback on those shown items that were drawn for users at random and are not "
    "in their log. It measures new items alone, while R_tra counts all items, and users may like the items of their "
    "log more or less. The rewards that a policy observes in a session are those of R_tra."
)


@dataclass(frozen=True)
class Section:
    """A part of a report besides its tables of sessions. lines: Markdown; content: the same as JSON values."""

    title: str
    lines: tuple[str, ...]
    content: Any


def row_json(row: Row) -> dict[str, Any]:
    """Return a row as JSON values, without its returns."""
    return {f.name: getattr(row, f.name) for f in fields(row) if f.name not in ("returns", "tallies")}


def label(row: Row, *, learned: bool | None = None) -> str:
    """Return a row's name with "(sampled)" for a policy that learned (None = by its kind) and † for a reference."""
    sampled = " (sampled)" if row.sampled and (row.kind == "learned" if learned is None else learned) else ""
    return row.name + sampled + (" †" if row.kind == "truth" else "")


def heading(mode: str, window: int | None, trained: Collection[int] = (), *, new: bool = False) -> str:
    """Return the title of a setting, e.g. "NX_0: no repeats, exit window N = 1". trained: other windows are named."""
    other = set(trained) - {window}
    learned = f", learned rows trained for N = {' and '.join(map(str, sorted(trained)))}" if other else ""
    learned += ", new users" if new else ""
    if mode == "NX_10":
        return f"NX_10: no repeats, exit off, 10 turns{learned}"
    what = {"FB": "FB: repeats allowed", "NX_0": "NX_0: no repeats"}[mode]
    return (f"{what}, no exit can happen" if window is None else f"{what}, exit window N = {window}") + learned


def tables(rows: Sequence[Row], trained: Collection[int] = ()) -> list[tuple[str, list[Row]]]:
    """Group rows by setting, each group under its `heading` and by falling mean."""
    groups = groupby(rows, key=lambda row: (row.mode, row.window, row.new))
    return [
        (heading(mode, window, trained, new=new), sorted(group, key=lambda row: -row.mean))
        for (mode, window, new), group in groups
    ]


def styles(rows: Sequence[Row]) -> tuple[str, str]:
    """Return the number formats of a table: of rewards of a session, and of rewards of a turn."""
    return style([row.mean for row in rows]), style([row.each for row in rows], least=3)


def with_interval(value: float, ends: tuple[float, float] | None, form: str) -> str:
    """Write a value with its interval in the number format `form`."""
    return "–" if ends is None else f"{value:{form}} [{ends[0]:{form}}, {ends[1]:{form}}]"


def random_text(row: Row, form: str) -> str:
    """Write R_random with its interval."""
    return "–" if row.random is None else with_interval(row.random, row.random_interval, form)


def signed(found: Comparison | None, form: str) -> str:
    """Write a difference with its interval."""
    return "–" if found is None else with_interval(found.difference, (found.low, found.high), f"+{form}")


def number_cells(row: Row, forms: tuple[str, str]) -> list[str]:
    """Write R_tra, IQM, Length, R_each, CV and MCD. forms: from `styles`."""
    return [
        with_interval(row.mean, row.interval, forms[0]),
        with_interval(row.iqm, row.iqm_interval, forms[0]),
        f"{row.length:.2f}",
        format(row.each, forms[1]),
        f"{row.coverage:.3f}",
        "–" if row.majority is None else f"{row.majority:.3f}",
    ]


def row_lines(rows: Sequence[Row], trained: Collection[int] = ()) -> list[str]:
    """Return one Markdown table for each setting, and notes on the measures. trained: see `heading`."""
    known = any(row.random is not None for row in rows)
    lines = []
    for title, group in tables(rows, trained):
        forms = styles(group)
        cells = [
            [label(row), *number_cells(row, forms), *([random_text(row, forms[0])] if known else []), str(row.seeds)]
            for row in group
        ]
        head = (*HEAD[:-1], *((RANDOM,) if known else ()), HEAD[-1])
        lines += [f"## {title}", "", *table_lines(head, cells, [row.kind == "learned" for row in group]), ""]
    return [*lines, *([NOTES, ""] if rows else []), *([RANDOM_NOTE, ""] if known else [])]


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]], bold: Sequence[bool] = ()) -> list[str]:
    """Return a Markdown table with names to the left and numbers to the right. bold: which rows have a bold name."""
    cells = [list(head)]
    for place, (name, *numbers) in enumerate(rows):
        cells.append([f"**{shown(name)}**" if bold and bold[place] else shown(name), *numbers])
    first, *others = (f"| {' | '.join(line)} |" for line in cells)
    return [first, "|---|" + "---:|" * (len(head) - 1), *others]


def print_tables(rows: Sequence[Row], trained: Collection[int] = (), console: "Console | None" = None) -> None:
    """Print every table in 80 columns, without IQM and with R_random for R_each where known. trained: see `heading`."""
    from rich import box  # slow to import
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = console or Console()
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
        console.print(table)
    console.print("† reads the rewards played on: a reference, not a method. Green: learned.", style="dim")
    if known:
        note = "R_random: Length times the mean random feedback on new items among those shown; not R_tra."
        console.print(note, style="dim")
