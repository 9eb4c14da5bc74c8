"""The comparison as Markdown and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from darlr.evaluation.report import (
    MEASURES,
    RANDOM,
    RANDOM_NOTE,
    joined,
    number_cells,
    random_text,
    row_json,
    signed,
    styles,
)
from darlr.experiments.study.assemble import Block, Line, by_random_feedback, first_and_second, paired
from darlr.io.files import atomic_write_text
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
    blocks: Sequence[Block],
    about: Mapping[str, Any],
    *,
    summary: Sequence[str] = (),
    published: Sequence[str] = (),
) -> None:
    """table.md and table.json, each at once or not at all.

    summary: lines before the tables; published: lines of the published protocol's section.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {"schema": SCHEMA, "title": title, "about": dict(about), "tables": [_block_json(b) for b in blocks]}
    atomic_write_text(folder / "table.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    atomic_write_text(folder / "table.md", markdown(title, blocks, about, summary, published))


def markdown(
    title: str,
    blocks: Sequence[Block],
    about: Mapping[str, Any],
    summary: Sequence[str] = (),
    published: Sequence[str] = (),
) -> str:
    """The whole document."""
    lines = [f"# {shown(title)}", "", *_facts(about), "", *summary]
    for block in blocks:
        lines += _table(block)
    told = any(line.row.random is not None for block in blocks for line in block.lines)
    lines += [NOTES, "", *([RANDOM_NOTE, ""] if told else []), *published, *_commands(blocks)]
    return "\n".join(lines) + "\n"


def verdict(block: Block) -> str:
    """By how much and how surely the first row beats the second."""
    pair = first_and_second(block)
    if pair is None:
        return ""
    first, second = pair
    found, form = paired(first, second), styles([line.row for line in block.lines])[0]
    sure = "tied with" if found.low <= 0 <= found.high else "ahead of"
    return (
        f"{first.label} is {sure} {second.label}: {signed(found, form)} a session, better for "
        f"{found.users_better:.0%} of users, p = {found.p_value:.2g} (paired over users and seeds)."
    )


def _facts(about: Mapping[str, Any]) -> list[str]:
    return [f"- {key}: {_fact(value)}" for key, value in about.items() if value not in ("", [], {}, None)]


def _fact(value: Any) -> str:
    """A value, or how many cells have which."""
    counted = isinstance(value, dict)
    return shown(", ".join(f"{name} ({n} cells)" for name, n in value.items()) if counted else str(value))


def _table(block: Block) -> list[str]:
    study = any(line.to_base is not None for line in block.lines)
    head = (*HEAD[:-1], *(("minus base [95%]",) if study else ()), HEAD[-1])
    lines = [f"## {block.title}", "", joined(head), "|---|" + "---:|" * (len(head) - 1)]
    forms = styles([line.row for line in block.lines])
    lines += [joined(_cells(line, study, forms)) for line in block.lines]
    said = shown(verdict(block))
    return [*lines, "", *([said, ""] if said else []), *_random_table(block)]


def _random_table(block: Block) -> list[str]:
    """The same rows by what users said of new random items, where that is known."""
    ranked = by_random_feedback(block.lines)
    if not ranked:
        return []
    head = ("row", RANDOM, "first minus this [95%]", "R_tra")
    lines = [f"### {block.title}, by what users said of new random items", "", joined(head), "|---|---:|---:|---:|"]
    first = next((line for line, apart in ranked if apart is not None), None)
    form = styles([line.row for line, _ in ranked])[0]
    for line, apart in ranked:
        name = shown(line.label)
        tied = apart is not None and apart[1] <= 0 <= apart[2]
        minus = "–" if apart is None else f"{apart[0]:+{form}} [{apart[1]:+{form}}, {apart[2]:+{form}}]"
        cells = (f"**{name}**" if tied else name, random_text(line.row, form), "first" if line is first else minus)
        lines.append(joined([*cells, format(line.row.mean, form)]))
    return [*lines, ""]


def _cells(line: Line, study: bool, forms: tuple[str, str]) -> list[str]:
    name = shown(line.label)
    return [
        f"**{name}**" if line.tied else name,
        *number_cells(line.row, forms),
        "first" if line.best else signed(line.to_best, forms[0]),
        *([signed(line.to_base, forms[0])] if study else []),
        str(line.row.seeds),
    ]


def _commands(blocks: Sequence[Block]) -> list[str]:
    """Budget, time and command of every row, and of every cell."""
    seen: dict[str, Line] = {}
    for block in blocks:
        for line in block.lines:
            seen.setdefault(line.results[0].folder.name, line)
    head = ("row", "simulated steps", "CPU-seconds a seed", "code")
    lines = ["## Budgets", "", joined(head), "|---|---:|---:|---|"]
    commands: list[str] = []
    for line in seen.values():
        name = line.label.removesuffix(" (sampled)") if line.source.learned else line.source.variant.label
        code = ", ".join(sorted({result.about["code"] for result in line.results}))
        lines.append(joined([shown(name), f"{line.steps:,}", f"{line.cpu_seconds:.0f}", code]))
        commands += [result.about["command"] for result in line.results if result.about["command"]]
    if commands:
        lines += ["", "## Commands", "", "```sh", *commands, "```"]
    return lines


def _block_json(block: Block) -> dict[str, Any]:
    pair = first_and_second(block)
    return {
        "mode": block.mode,
        "window": block.window,
        "rows": [_line_json(line) for line in block.lines],
        "by_random_feedback": [
            {"label": line.label, "random": line.row.random, "first_minus_this": apart}
            for line, apart in by_random_feedback(block.lines)
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
