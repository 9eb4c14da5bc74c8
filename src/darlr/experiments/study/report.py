"""The result of a comparison: an `Evaluation` with a table for each mode and exit window."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from darlr.evaluation import report
from darlr.evaluation.report import row_json, signed, table_lines
from darlr.evaluation.result import Evaluation
from darlr.experiments.study.assemble import Line, ModeTable, by_random_feedback, first_and_second, paired
from darlr.io.text import markdown as shown

if TYPE_CHECKING:
    import polars as pl

SCHEMA = 2
HEAD = ("row", "R_tra [95%]", "IQM [95%]", "Length", "R_each", "CV", "MCD", "first minus this [95%]", "seeds")
NOTES = (
    f"{report.MEASURES} Bold rows are first, or tied with the first: the 95% interval of the paired difference over "
    "the same users and seeds includes 0. † marks a reference that reads the truth and is never ranked. Actions are "
    "greedy unless marked sampled."
)


@dataclass(frozen=True)
class Study(Evaluation):
    """The result of a comparison of methods. tables: one for each exit window and mode, with its lines ranked."""

    title: str = ""
    tables: Sequence[ModeTable] = ()

    @cached_property
    def rows(self) -> "pl.DataFrame":
        """All rows of all tables. trained_window: the exit window of the table. tied: see `Line`."""
        import polars as pl

        of = [(table.window, line.tied) for table in self.tables for line in table.lines]
        return super().rows.with_columns(pl.DataFrame(of, ["trained_window", "tied"], orient="row"))

    def markdown(self) -> str:
        """Return the whole report: what was compared, sections, a table for each setting, budgets and commands."""
        lines = [f"# {shown(self.title)}", "", *_heads(self.about), ""]
        for section in self.sections:
            lines += [f"## {section.title}", "", *section.lines, ""]
        for table in self.tables:
            lines += _table(table)
        known = any(row.random is not None for row in self.table)
        lines += [NOTES, "", *([report.RANDOM_NOTE, ""] if known else []), *_commands(self.tables)]
        return "\n".join(lines) + "\n"

    def json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        content = {section.title: section.content for section in self.sections}
        return {
            "schema": SCHEMA,
            "title": self.title,
            "about": dict(self.about),
            "tables": [_table_json(table) for table in self.tables],
            **({"sections": content} if content else {}),
        }


def study(title: str, tables: Sequence[ModeTable], about: Mapping[str, Any], **more: Any) -> Study:
    """Return the result of a comparison. about: what was compared. more: see `Evaluation`."""
    lines, sentence = (tables[0].lines, verdict(tables[0])) if tables else ([], "")
    first = next((line.label for line in lines if line.best), "")
    return Study(
        table=[line.row for table in tables for line in table.lines],
        about=about,
        pairs={f"{first} - {line.label}": line.to_best for line in lines if line.to_best is not None},
        verdict=[sentence] if sentence else [],
        title=title,
        tables=tables,
        **more,
    )


def verdict(table: ModeTable) -> str:
    """Write a sentence on the difference of the first two rows and its certainty; empty without two rows."""
    pair = first_and_second(table)
    if pair is None:
        return ""
    first, second = pair
    found, form = paired(first, second), report.styles([line.row for line in table.lines])[0]
    sure = "tied with" if found.low <= 0 <= found.high else "ahead of"
    return (
        f"{first.label} is {sure} {second.label}: {signed(found, form)} a session, better for "
        f"{found.users_better:.0%} of users, p = {found.p_value:.2g} (paired over users and seeds)."
    )


def _heads(about: Mapping[str, Any]) -> list[str]:
    """Return one line for each value; of a mapping, the number of cells that have each value."""
    found = []
    for key, value in about.items():
        counted = isinstance(value, dict)
        text = ", ".join(f"{name} ({n} cells)" for name, n in value.items()) if counted else str(value)
        found += [f"- {key}: {shown(text)}"] if value not in ("", [], {}, None) else []
    return found


def _table(table: ModeTable) -> list[str]:
    study = any(line.to_base is not None for line in table.lines)
    head = (*HEAD[:-1], *(("minus base [95%]",) if study else ()), HEAD[-1])
    forms = report.styles([line.row for line in table.lines])
    cells = [
        [
            line.label,
            *report.number_cells(line.row, forms),
            "first" if line.best else signed(line.to_best, forms[0]),
            *([signed(line.to_base, forms[0])] if study else []),
            str(line.row.seeds),
        ]
        for line in table.lines
    ]
    lines = [f"## {table.title}", "", *table_lines(head, cells, [bool(line.tied) for line in table.lines]), ""]
    sentence = shown(verdict(table))
    return [*lines, *([sentence, ""] if sentence else []), *_random_table(table)]


def _random_table(table: ModeTable) -> list[str]:
    """Return the same rows by the feedback on random items that are new to a user, where it is known."""
    ranked = by_random_feedback(table.lines)
    if not ranked:
        return []
    first = next((line for line, apart in ranked if apart is not None), None)
    form = report.styles([line.row for line, _ in ranked])[0]
    cells, tied = [], []
    for line, apart in ranked:
        tied.append(apart is not None and apart[1] <= 0 <= apart[2])
        minus = "–" if apart is None else report.with_interval(apart[0], apart[1:], f"+{form}")
        numbers = (report.random_text(line.row, form), "first" if line is first else minus, format(line.row.mean, form))
        cells.append([line.label, *numbers])
    lines = table_lines(("row", report.RANDOM, "first minus this [95%]", "R_tra"), cells, tied)
    return [f"### {table.title}, by random feedback on new items", "", *lines, ""]


def _commands(tables: Sequence[ModeTable]) -> list[str]:
    """Return the budget and the time of every row, and the command of every cell."""
    seen: dict[str, Line] = {}
    for line in (line for table in tables for line in table.lines):
        seen.setdefault(line.results[0].folder.name, line)
    cells, commands = [], []
    for line in seen.values():
        name = line.label.removesuffix(" (sampled)") if line.variant.learned else line.variant.label
        code = ", ".join(sorted({result.about["code"] for result in line.results}))
        seconds = np.mean([result.about["cpu_seconds"] for result in line.results])  # of the whole cell
        cells.append([name, f"{line.results[0].about['steps']:,}", f"{seconds:.0f}", code])
        commands += [result.about["command"] for result in line.results if result.about["command"]]
    lines = ["## Budgets", "", *table_lines(("row", "simulated steps", "CPU-seconds a seed", "code"), cells)]
    if commands:
        lines += ["", "## Commands", "", "```sh", *commands, "```"]
    return lines


def _table_json(table: ModeTable) -> dict[str, Any]:
    pair = first_and_second(table)
    return {
        "mode": table.mode,
        "window": table.window,
        "new": table.new,
        "rows": [_line_json(line) for line in table.lines],
        "by_random_feedback": [
            {"label": line.label, "random": line.row.random, "first_minus_this": apart}
            for line, apart in by_random_feedback(table.lines)
        ],
        "first_and_second": None
        if pair is None
        else {"first": pair[0].label, "second": pair[1].label, **asdict(paired(*pair))},
    }


def _line_json(line: Line) -> dict[str, Any]:
    return {
        **row_json(line.row),
        "label": line.label,
        "method": line.variant.method,
        "options": dict(line.variant.options),
        "first": line.best,
        "tied": line.tied,
        "first_minus_this": None if line.to_best is None else asdict(line.to_best),
        "minus_base": None if line.to_base is None else asdict(line.to_base),
        "steps": line.results[0].about["steps"],
        "cpu_seconds": [result.about["cpu_seconds"] for result in line.results],
        "code": [result.about["code"] for result in line.results],
        "cells": [result.folder.name for result in line.results],
        "commands": [result.about["command"] for result in line.results],
    }
