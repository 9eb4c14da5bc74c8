"""The result of an evaluation as one object: frames, a verdict, pictures, and a report as Markdown and JSON."""

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darlr.evaluation.evaluate import Row
from darlr.evaluation.numbers import style
from darlr.evaluation.pictures import canvas
from darlr.evaluation.playing import Metrics
from darlr.evaluation.report import Section, print_tables, row_json, row_lines, signed, table_lines
from darlr.evaluation.statistics import Comparison
from darlr.io.files import atomic_write_text, write_json
from darlr.io.text import markdown, plain

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure
    from rich.console import Console

SCHEMA = 2  # of table.json
PRINTED = (
    "played on",
    "unit",
    "truth",
    "left out",
    "warning",
)  # parts of `about` printed beside the tables
WIDTH = 100  # columns of the text
COMPARED = ("A - B", "difference [95%]", "users better under A", "p")


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation: it can be printed, shown in a notebook, read as frames, and saved.

    table: the rows of every setting, with their returns. about: what was evaluated, as JSON values. pairs: "A - B" ->
    the paired comparison of two rows of the first setting. verdict: sentences on the first setting. sections: further
    parts of the report. published: the statistic of one run from `published_mean`. trained: the exit windows that
    learned rows were trained with. plots: name of a picture -> the function that draws it.
    """

    table: Sequence[Row]
    about: Mapping[str, Any] = field(default_factory=dict)
    pairs: Mapping[str, Comparison] = field(default_factory=dict)
    verdict: Sequence[str] = ()
    sections: Sequence[Section] = ()
    published: Mapping[str, float | int | None] | None = None
    trained: Collection[int] = ()
    plots: Mapping[str, Callable[[], "Figure"]] = field(default_factory=dict, repr=False)

    @property
    def first_setting(self) -> list[Row]:
        """The rows of the first setting in the table."""
        first = self.table[0] if self.table else None
        alike = [row for row in self.table if first and (row.mode, row.window) == (first.mode, first.window)]
        return sorted(alike, key=lambda row: row.new)

    @cached_property
    def rows(self) -> "pl.DataFrame":
        """All rows of all settings."""
        return _frame([row_json(row) for row in self.table])

    @cached_property
    def comparisons(self) -> "pl.DataFrame":
        """The paired comparisons of rows of the first setting."""
        return _frame([{"pair": name, **asdict(found)} for name, found in self.pairs.items()])

    @cached_property
    def next_items(self) -> "pl.DataFrame":
        """Hit rate, recall and nDCG of each policy on held-out events; empty where no event was held out."""
        return _frame(self._content("Next items"))

    @cached_property
    def unseen_events(self) -> "pl.DataFrame":
        """Errors of world models on held-out events; empty where no event was held out."""
        return _frame(self._content("Unseen events"))

    @cached_property
    def off_policy(self) -> "pl.DataFrame":
        """The off-policy estimates of each policy; empty where the log has no propensities."""
        found = self._content("Off-policy, first step") or {}
        return _frame([{"name": name, **values} for name, values in found.items() if name != "log"])

    def _content(self, title: str) -> Any:
        return next((section.content for section in self.sections if section.title == title), [])

    def pictures(self) -> "dict[str, Figure]":
        """Draw the rows, the learning curve and the errors of the estimates. Raises MachineError without matplotlib."""
        return {name: plot() for name, plot in self.plots.items()}

    def messages(self) -> list[str]:
        """Return what is printed below the tables: the sections, and warnings about the data."""
        sections = ["\n".join((f"\n{section.title}", *plain(section.lines))) for section in self.sections]
        known = [f"{name}: {text}" for name, text in self.about.items() if name.partition(",")[0] in PRINTED]
        return [*sections, *known]

    def print_tables(self, console: "Console | None" = None) -> None:
        """Print the rows of the first setting."""
        print_tables(self.first_setting, self.trained, console)

    def markdown(self) -> str:
        """Return the whole report: verdict, tables by setting, comparisons, the published statistic, sections."""
        lines = ["# Evaluation", ""]
        if self.verdict:
            lines += ["## Verdict", "", " ".join(map(markdown, self.verdict)), ""]
        if self.about:
            lines += [*(f"- {key}: {markdown(str(value))}" for key, value in self.about.items()), ""]
        lines += row_lines(self.table, self.trained)
        if self.pairs:
            form = style([0.0, *(found.difference for found in self.pairs.values())])
            cells = [
                [name, signed(found, form), f"{found.users_better:.0%}", f"{found.p_value:.3g}"]
                for name, found in self.pairs.items()
            ]
            lines += ["## Paired comparisons, same users and seeds", "", *table_lines(COMPARED, cells), ""]
        if self.published is not None:
            lines += ["## Published protocol", "", _published(self.published), ""]
        for section in self.sections:
            lines += [f"## {section.title}", "", *section.lines, ""]
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        content = {section.title: section.content for section in self.sections}
        content |= {"Verdict": list(self.verdict)} if self.verdict else {}
        return {
            "schema": SCHEMA,
            "about": dict(self.about),
            "rows": [row_json(row) for row in self.table],
            "comparisons": {name: asdict(found) for name, found in self.pairs.items()},
            "published": None if self.published is None else dict(self.published),
            **({"sections": content} if content else {}),
        }

    def save(self, folder: str | Path, *, pictures: bool = True) -> None:
        """Write table.md, table.json and the pictures into a folder, each file atomically.

        Raises RunError where the folder cannot be written. Raises MachineError without matplotlib, after the tables
        are written; `pictures=False` leaves the pictures out.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        write_json(place / "table.json", self.json())
        atomic_write_text(place / "table.md", self.markdown())
        if pictures:
            self.save_pictures(place)

    def save_pictures(self, folder: Path) -> None:
        """Write the pictures alone. Raises MachineError without matplotlib."""
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
        """Return what the command line prints."""
        return self._recorded().export_text()

    def _repr_html_(self) -> str:
        """Return the same for notebooks."""
        return self._recorded().export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def _published(statistic: Mapping[str, float | int | None]) -> str:
    found = [
        f"{name} {value:.3f} ± {statistic.get(f'{name}_std') or 0.0:.3f}"
        for name in Metrics.__annotations__
        if (value := statistic.get(name)) is not None
    ]
    return (
        f"Mean ± standard deviation over {statistic['epochs']} epochs of one run, 100 random users an epoch, sampled, "
        f"NX_0, N = 1: {', '.join(found)}. This is neither a final score nor a spread over seeds."
    )


def _frame(lines: Sequence[Mapping[str, Any]]) -> "pl.DataFrame":
    """Make one row of each mapping; an interval becomes two columns."""
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
