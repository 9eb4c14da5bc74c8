"""Make tables of finished cells: intervals, differences to the best row and to the base of the study, and ties."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from darlr.evaluation.evaluate import Row, summarise
from darlr.evaluation.lists import Entry, Kind
from darlr.evaluation.playing import Played, Setting
from darlr.evaluation.report import heading
from darlr.evaluation.report import label as marked
from darlr.evaluation.statistics import Comparison, compare
from darlr.evaluation.statistics import random_difference as difference
from darlr.evaluation.verdict import START
from darlr.experiments.study.cells import RANDOM_FEEDBACK, STARTED, Result
from darlr.experiments.study.grid import Grid, GridRow
from darlr.methods import find
from darlr.options import Mode
from darlr.simulation.exits import never

MODES: tuple[Mode, ...] = ("NX_0", "FB", "NX_10")
Results = Mapping[str, Result]  # name of the folder of a cell -> its result


@dataclass(frozen=True)
class Line:
    """One line of one table.

    row: its numbers. source: its row in the grid. results: one for each seed. best: whether it is the first of its
    table. tied: whether the 95% interval of the paired difference to the first includes 0; None for references.
    to_best: the first minus this. to_base: this minus the base row of the study.
    """

    row: Row
    source: GridRow
    results: Sequence[Result] = field(repr=False)
    best: bool = False
    tied: bool | None = None
    to_best: Comparison | None = None
    to_base: Comparison | None = None

    @property
    def label(self) -> str:
        """The name with its marks."""
        return marked(self.row, learned=self.source.learned)

    @property
    def cpu_seconds(self) -> float:
        """Mean over seeds. Where several lines come from one cell, it is the time of the whole cell."""
        return float(np.mean([result.about["cpu_seconds"] for result in self.results]))

    @property
    def steps(self) -> int:
        """Number of simulated steps of training."""
        return int(self.results[0].about["steps"])


@dataclass(frozen=True)
class ModeTable:
    """The table of one mode under one exit window. window: None where no user can leave in any mode."""

    mode: Mode
    window: int | None
    lines: list[Line]

    @property
    def title(self) -> str:
        """The mode and its exit window."""
        trained = () if self.window is None else (self.window,)
        return heading(self.mode, _played(self.mode, self.window), trained)

    @property
    def greedy(self) -> list[Line]:
        """The lines without the sampled policies of learned rows."""
        return [line for line in self.lines if not (line.row.sampled and line.source.learned)]


def assemble(grid: Grid, results: Results) -> list[ModeTable]:
    """Every table of the grid, with its lines by falling R_tra. Rows with a missing cell are left out."""
    tables = []
    for window, mode in product(grid.windows, MODES):
        lines = [
            line
            for row in grid.rows
            if all(cell.folder in results for cell in row.cells[window])
            for line in _lines(row, [results[cell.folder] for cell in row.cells[window]], mode, _played(mode, window))
        ]
        tables.append(ModeTable(mode, window, ranked(lines)))
    return tables


def _played(mode: Mode, window: int | None) -> int | None:
    """The exit window of the evaluation: no user leaves in NX_10."""
    return window if mode != "NX_10" else None


def _lines(row: GridRow, results: Sequence[Result], mode: Mode, window: int | None) -> list[Line]:
    lines = []
    for name, metadata in results[0].about["entries"].items():
        key = f"{name}|{mode}|{window or ''}"
        if key not in results[0].returns:
            continue  # an exit-aware entry where no user can leave
        seeds = [
            Played(result.returns[key], result.about["metrics"][key], result.returns.get(f"{key}{RANDOM_FEEDBACK}"))
            for result in results
        ]
        if all(np.array_equal(one.returns, seeds[0].returns) for one in seeds):
            seeds = seeds[:1]  # no seed changes it, so that the seeds are no sample
        kind: Kind = "truth" if row.learned and find(row.variant.method).truth else metadata["kind"]
        entry = Entry(_name(row, name), (), kind, metadata["greedy"], metadata["exit_aware"])
        lines.append(Line(summarise(entry, Setting(mode, window, never), seeds), row, results))
    return lines


def _name(row: GridRow, entry: str) -> str:
    tail = f", {row.variant.tail}" if row.variant.tail else ""
    if entry == STARTED:
        return row.variant.label.removesuffix(tail) + START + tail
    return row.variant.label if row.learned else entry + tail


def ranked(lines: Sequence[Line]) -> list[Line]:
    """Lines by falling mean, each with its paired differences to the first that is no reference and to its base."""
    ordered = sorted(lines, key=lambda line: -line.row.mean)
    first = next((line for line in ordered if line.row.kind != "truth"), None)
    found = []
    for line in ordered:
        base = _base(line, lines)
        to_base = None if base is None or base is line else paired(line, base)
        if first is None or line.row.kind == "truth":
            found.append(replace(line, to_base=to_base))
        elif line is first:
            found.append(replace(line, best=True, tied=True, to_base=to_base))
        else:
            to_best = paired(first, line)
            tied = to_best.low <= 0 <= to_best.high
            found.append(replace(line, tied=tied, to_best=to_best, to_base=to_base))
    return found


def paired(one: Line, other: Line) -> Comparison:
    """One line minus the other, over the same users and seeds."""
    return compare(one.row.returns, other.row.returns)


def by_random_feedback(lines: Sequence[Line]) -> list[tuple[Line, tuple[float, float, float] | None]]:
    """Lines by falling R_random. Beside each is the first that is no reference minus it, with the 95% interval."""
    known = sorted((line for line in lines if line.row.random is not None), key=lambda line: -(line.row.random or 0.0))
    first = next((line for line in known if line.row.kind != "truth"), None)
    found: list[tuple[Line, tuple[float, float, float] | None]] = []
    for line in known:
        assert line.row.tallies is not None
        apart = None
        if first is not None and first.row.tallies is not None and line.row.kind != "truth":
            apart = difference(first.row.tallies, line.row.tallies)
        found.append((line, apart))
    return found


def _base(line: Line, lines: Sequence[Line]) -> Line | None:
    """The line that a study compares a line with: the base of its group or of the study, evaluated in the same way."""
    variant = line.source.variant
    fits = [
        other
        for other in lines
        if other.source.variant.base
        and other.row.sampled == line.row.sampled
        and (not other.source.variant.group or other.source.variant.group == variant.group)
        and (other.source.learned or entry_name(other) == entry_name(line))
    ]
    return fits[0] if fits else None


def entry_name(line: Line) -> str:
    """The name of a row without its share of the log."""
    tail = line.source.variant.tail
    return line.row.name.removesuffix(f", {tail}") if tail else line.row.name


def first_and_second(table: ModeTable) -> tuple[Line, Line] | None:
    """The best lines of two rows, without references. A row, its exit-aware twin and its start count as one row."""
    lines = [line for line in table.lines if line.row.kind != "truth"]
    names = [line.row.name.removesuffix(", exit-aware").replace(START, "") for line in lines]
    second = next((place for place, name in enumerate(names) if name != names[0]), None)
    return None if second is None else (lines[0], lines[second])


def origins(results: Results) -> dict[str, Any]:
    """How many cells come from which code, commit and machine."""
    found = [result.about for result in results.values()]
    return {
        "code": Counter(about["code"] for about in found),
        "commits": Counter(_commit(about["provenance"]["git"]) for about in found),
        "machines": Counter(_machine(about["provenance"]["machine"]) for about in found),
    }


def _commit(git: Mapping[str, Any] | None) -> str:
    return "unknown" if git is None else git["commit"][:10] + " with changes" * git["changed"]


def _machine(machine: Mapping[str, Any]) -> str:
    return f"{machine['platform']}, {machine['cpus']} CPUs" + (f", {machine['gpu']}" if machine["gpu"] else "")
