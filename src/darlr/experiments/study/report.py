"""Write a comparison as Markdown and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from darlr.evaluation.report import (
    MEASURES,
    RANDOM,
    RANDOM_NOTE,
    number_cells,
    random_text,
    row_json,
    signed,
    styles,
    table_lines,
)
from darlr.experiments.study.assemble import Line, ModeTable, by_random_feedback, first_and_second, paired
from darlr.io.files import atomic_write_text, write_json
from darlr.io.text import markdown as shown

SCHEMA = 2
HEAD = ("row", "R_tra [95%]", "IQM [95%]", "Length", "R_each", "CV", "MCD", "first minus this [95%]", "seeds")
NOTES = (
    f"{MEASURES} Bold rows are first, or tied with the first: the 95% interval of the paired difference over the same "
    "users and seeds includes 0. † marks a reference that reads the truth and is never ranked. Actions are greedy "
    "unless marked sampled."
)


def write(
    folder: Path,
    title: str,
    tables: Sequence[ModeTable],
    about: Mapping[str, Any],
    *,
    summary: Sequence[str] = (),
    published: Sequence[str] = (),
) -> None:
    """Write table.md and table.json, each at once or not at all.

    about: what was compared. summary: lines before the tables. published: lines of the section on the published
    protocol.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {"schema": SCHEMA, "title": title, "about": dict(about), "tables": [_table_json(t) for t in tables]}
    write_json(folder / "table.json", content)
    atomic_write_text(folder / "table.md", markdown(title, tables, about, summary, published))


def markdown(
    title: str,
    tables: Sequence[ModeTable],
    about: Mapping[str, Any],
    summary: Sequence[str] = (),
    published: Sequence[str] = (),
) -> str:
    """The whole document."""
    lines = [f"# {shown(title)}", "", *_heads(about), "", *summary]
    for table in tables:
        lines += _table(table)
    known = any(line.row.random is not None for table in tables for line in table.lines)
    lines += [NOTES, "", *([RANDOM_NOTE, ""] if known else []), *published, *_commands(tables)]
    return "\n".join(lines) + "\n"


def verdict(table: ModeTable) -> str:
    """A sentence on how far the first row is ahead of the second, and how sure that is; empty without two rows."""
    pair = first_and_second(table)
    if pair is None:
        return ""
    first, second = pair
    found, form = paired(first, second), styles([line.row for line in table.lines])[0]
    sure = "tied with" if found.low <= 0 <= found.high else "ahead of"
    return (
        f"{first.label} is {sure} {second.label}: {signed(found, form)} a session, better for "
        f"{found.users_better:.0%} of users, p = {found.p_value:.2g} (paired over users and seeds)."
    )


def _heads(about: Mapping[str, Any]) -> list[str]:
    return [f"- {key}: {_head(value)}" for key, value in about.items() if value not in ("", [], {}, None)]


def _head(value: Any) -> str:
    """A value, or the number of cells that have each value."""
    counted = isinstance(value, dict)
    return shown(", ".join(f"{name} ({n} cells)" for name, n in value.items()) if counted else str(value))


def _table(table: ModeTable) -> list[str]:
    study = any(line.to_base is not None for line in table.lines)
    head = (*HEAD[:-1], *(("minus base [95%]",) if study else ()), HEAD[-1])
    forms = styles([line.row for line in table.lines])
    cells = [_cells(line, study, forms) for line in table.lines]
    lines = [f"## {table.title}", "", *table_lines(head, cells, [bool(line.tied) for line in table.lines]), ""]
    sentence = shown(verdict(table))
    return [*lines, *([sentence, ""] if sentence else []), *_random_table(table)]


def _random_table(table: ModeTable) -> list[str]:
    """The same rows by the feedback on random items that are new to a user, where it is known."""
    ranked = by_random_feedback(table.lines)
    if not ranked:
        return []
    first = next((line for line, apart in ranked if apart is not None), None)
    form = styles([line.row for line, _ in ranked])[0]
    cells, tied = [], []
    for line, apart in ranked:
        tied.append(apart is not None and apart[1] <= 0 <= apart[2])
        minus = "–" if apart is None else f"{apart[0]:+{form}} [{apart[1]:+{form}}, {apart[2]:+{form}}]"
        numbers = (random_text(line.row, form), "first" if line is first else minus, format(line.row.mean, form))
        cells.append([line.label, *numbers])
    lines = table_lines(("row", RANDOM, "first minus this [95%]", "R_tra"), cells, tied)
    return [f"### {table.title}, by random feedback on new items", "", *lines, ""]


def _cells(line: Line, study: bool, forms: tuple[str, str]) -> list[str]:
    return [
        line.label,
        *number_cells(line.row, forms),
        "first" if line.best else signed(line.to_best, forms[0]),
        *([signed(line.to_base, forms[0])] if study else []),
        str(line.row.seeds),
    ]


def _commands(tables: Sequence[ModeTable]) -> list[str]:
    """The budget and the time of every row, and the command of every cell."""
    seen: dict[str, Line] = {}
    for line in (line for table in tables for line in table.lines):
        seen.setdefault(line.results[0].folder.name, line)
    cells, commands = [], []
    for line in seen.values():
        name = line.label.removesuffix(" (sampled)") if line.source.learned else line.source.variant.label
        code = ", ".join(sorted({result.about["code"] for result in line.results}))
        cells.append([name, f"{line.steps:,}", f"{line.cpu_seconds:.0f}", code])
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
        "method": line.source.variant.method,
        "options": dict(line.source.variant.options),
        "first": line.best,
        "tied": line.tied,
        "first_minus_this": None if line.to_best is None else asdict(line.to_best),
        "minus_base": None if line.to_base is None else asdict(line.to_base),
        "steps": line.steps,
        "cpu_seconds": [result.about["cpu_seconds"] for result in line.results],
        "code": [result.about["code"] for result in line.results],
        "cells": [result.folder.name for result in line.results],
        "commands": [result.about["command"] for result in line.results],
    }
