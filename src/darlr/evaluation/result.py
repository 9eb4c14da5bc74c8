"""What an evaluation found, as one object: tables as frames, sentences, pictures, and a report for people."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darlr.evaluation.evaluate import Row
from darlr.evaluation.pictures import canvas
from darlr.evaluation.report import Section, row_json, write_report
from darlr.evaluation.statistics import Comparison
from darlr.evaluation.terminal import print_tables
from darlr.io.text import plain

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure
    from rich.console import Console

PRINTED = ("played on", "unit", "truth", "warning")  # what people must know of `about` beside the tables
WIDTH = 100  # columns of the text


@dataclass(frozen=True)
class Evaluation:
    """Print it, show it in a notebook, take its frames, or save it as `darlr evaluate` does.

    table: the rows of every setting, with their returns. about: what was evaluated, any JSON values. pairs: "A - B" ->
    paired comparison of rows of the first setting. verdict: sentences on the table. sections: parts of the
    report on events that training never saw. published: the published statistic of one run. trained: the exit windows
    that learned rows were trained with. plots: name of a picture -> what makes it.
    """

    table: Sequence[Row]
    about: Mapping[str, Any]
    pairs: Mapping[str, Comparison]
    verdict: Sequence[str]
    sections: Sequence[Section] = ()
    published: Mapping[str, float | int | None] | None = None
    trained: tuple[int, ...] = ()
    plots: Mapping[str, Callable[[], "Figure"]] = field(default_factory=dict, repr=False)

    @property
    def first_setting(self) -> list[Row]:
        """The rows that people look at first: sessions without repeats, under the first exit window."""
        return [row for row in self.table if (row.mode, row.window) == (self.table[0].mode, self.table[0].window)]

    @cached_property
    def rows(self) -> "pl.DataFrame":
        """Every row of every setting, one a line."""
        return _frame([row_json(row) for row in self.table])

    @cached_property
    def comparisons(self) -> "pl.DataFrame":
        """Paired comparisons of rows of the first setting, one a line."""
        return _frame([{"pair": name, **asdict(found)} for name, found in self.pairs.items()])

    @cached_property
    def next_items(self) -> "pl.DataFrame":
        """What users did next, by policy (darlr.evaluation.next_items); empty where no event was kept from training."""
        return _frame(self._content("Next items"))

    @cached_property
    def unseen_events(self) -> "pl.DataFrame":
        """Errors of world models on events that they never saw; empty where no event was kept from training."""
        return _frame(self._content("Unseen events"))

    @cached_property
    def off_policy(self) -> "pl.DataFrame":
        """Off-policy estimates, one policy a line; empty where the log has no propensities."""
        found = self._content("Off-policy, first step") or {}
        return _frame([{"name": name, **values} for name, values in found.items() if name != "log"])

    def _content(self, title: str) -> Any:
        return next((section.content for section in self.sections if section.title == title), [])

    def pictures(self) -> "dict[str, Figure]":
        """Name -> matplotlib figure: the rows, the learning curve, the error of the estimated rewards.

        Raises MachineError without matplotlib (extra `plots`).
        """
        return {name: plot() for name, plot in self.plots.items()}

    def messages(self) -> list[str]:
        """What is printed besides the tables: the sections, and what must be known of the data."""
        sections = ["\n".join((f"\n{section.title}", *plain(section.lines))) for section in self.sections]
        known = [f"{name}: {text}" for name, text in self.about.items() if name.partition(",")[0] in PRINTED]
        return [*sections, *known]

    def print_tables(self, console: "Console | None" = None) -> None:
        """Print the rows of the first setting."""
        print_tables(self.first_setting, self.trained, console)

    def save(self, folder: str | Path, *, pictures: bool = True) -> None:
        """Write table.md, table.json and the pictures into a folder, each whole or not at all.

        Raises RunError where the folder cannot be written, and MachineError without matplotlib, after the tables are
        written; `pictures=False` leaves the pictures out.
        """
        place = Path(folder)
        write_report(
            place,
            self.table,
            about=self.about,
            comparisons=self.pairs,
            published=self.published,
            sections=self.sections,
            verdict=self.verdict,
            trained=self.trained,
        )
        if pictures:
            self.save_pictures(place)

    def save_pictures(self, folder: Path) -> None:
        """Write the pictures alone; MachineError without matplotlib."""
        for name, plot in self.plots.items():
            canvas.save(plot(), folder / f"{name}.png")

    def _recorded(self) -> "Console":
        from rich.console import Console

        console = Console(record=True, file=io.StringIO(), width=WIDTH)
        self.print_tables(console)
        for text in (*self.messages(), "\n" + " ".join(self.verdict)):
            console.print(text, soft_wrap=True, markup=False, highlight=False, emoji=False)
        return console

    def __str__(self) -> str:
        """What the command line prints."""
        return self._recorded().export_text()

    def _repr_html_(self) -> str:
        """The same, for notebooks."""
        return self._recorded().export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def _frame(lines: Sequence[Mapping[str, Any]]) -> "pl.DataFrame":
    """One line a mapping; of an interval, or of a value with its interval, a column each."""
    import polars as pl

    return pl.DataFrame([_flat(line) for line in lines], infer_schema_length=None)


def _flat(line: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in line.items():
        if isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys():
            found |= {name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
        elif isinstance(value, Mapping):
            found |= _flat(value)
        elif isinstance(value, tuple | list) or name.endswith("interval"):
            stem = name.removesuffix("_interval").removesuffix("interval") or "mean"
            found |= dict(zip((f"{stem}_low", f"{stem}_high"), value or (None, None), strict=True))
        else:
            found[name] = value
    return found
