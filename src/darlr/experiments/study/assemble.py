"""Make tables of finished cells: intervals, differences to the best row and to the base of the study, and ties."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from darlr.evaluation.evaluate import Row, summarise
from darlr.evaluation.lists import Entry, Kind
from darlr.evaluation.playing import Played, Setting, averaged
from darlr.evaluation.report import heading
from darlr.evaluation.report import label as marked
from darlr.evaluation.statistics import Comparison, compare
from darlr.evaluation.statistics import random_difference as difference
from darlr.evaluation.verdict import START
from darlr.experiments.study.cells import RANDOM_FEEDBACK, STARTED, Result
from darlr.experiments.study.grid import Grid, Variant
from darlr.methods import find
from darlr.options import Mode
from darlr.simulation.exits import never

MODES: tuple[Mode, ...] = ("NX_0", "FB", "NX_10")
Results = Mapping[str, Result]  # name of the folder of a cell -> its result


@dataclass(frozen=True)
class Line:
    """One line of one table.

    row: its numbers. variant: its row in the study. results: one for each seed. best: whether it is the first of its
    table. tied: whether the 95% interval of the paired difference to the first includes 0; None for references.
    to_best: the first minus this. to_base: this minus the base row of the study.
    """

    row: Row
    variant: Variant
    results: Sequence[Result] = field(repr=False)
    best: bool = False
    tied: bool | None = None
    to_best: Comparison | None = None
    to_base: Comparison | None = None

    @property
    def label(self) -> str:
        """The name with its marks."""
        return marked(self.row, learned=self.variant.learned)

    @property
    def entry(self) -> str:
        """The name without its share of the log."""
        return self.row.name.removesuffix(self.variant.ending)


@dataclass(frozen=True)
class ModeTable:
    """The table of one mode under one exit window. window: None where no user can leave in any mode.

    new: whether its users are new, hidden from training, and not those of the log.
    """

    mode: Mode
    window: int | None
    lines: list[Line]
    new: bool = False

    @property
    def title(self) -> str:
        """The mode and its exit window."""
        trained = () if self.window is None else (self.window,)
        return heading(self.mode, None if self.mode == "NX_10" else self.window, trained, new=self.new)

    @property
    def greedy(self) -> list[Line]:
        """The lines without the sampled policies of learned rows."""
        return [line for line in self.lines if not (line.row.sampled and line.variant.learned)]


def assemble(grid: Grid, results: Results) -> list[ModeTable]:
    """Return every table of the grid, with its lines by falling R_tra. Rows with a missing cell are left out."""
    tables = []
    for window, mode in product(grid.windows, MODES):
        played = None if mode == "NX_10" else window  # no user leaves in NX_10
        lines = [
            line
            for variant, cells in grid.rows
            if all(cell.folder in results for cell in cells[window])
            for line in _lines(variant, [results[cell.folder] for cell in cells[window]], mode, played, grid.folds)
        ]
        tables.append(ModeTable(mode, window, ranked(lines), new=grid.folds > 0))
    return tables


def _lines(variant: Variant, results: Sequence[Result], mode: Mode, window: int | None, folds: int = 0) -> list[Line]:
    """folds: the groups of users that the seeds hide in turn; 0 where all seeds play the same users."""
    lines = []
    for name, metadata in results[0].about["entries"].items():
        key = f"{name}|{mode}|{window or ''}"
        if key not in results[0].returns:
            continue  # an exit-aware entry where no user can leave
        seeds = [
            Played(result.returns[key], result.about["metrics"][key], result.returns.get(f"{key}{RANDOM_FEEDBACK}"))
            for result in results
        ]
        seeds = joined(seeds, folds) if folds else seeds
        if all(np.array_equal(one.returns, seeds[0].returns) for one in seeds):
            seeds = seeds[:1]  # no seed changes it, so that the seeds are no sample
        kind: Kind = "truth" if variant.learned and find(variant.method).truth else metadata["kind"]
        base = variant.label.removesuffix(variant.ending) if variant.learned else name
        title = base + START * (name == STARTED) + variant.ending
        entry = Entry(title, (), kind, metadata["greedy"], metadata["exit_aware"])
        row = summarise(entry, Setting(mode, window, never), seeds, new=folds > 0)
        lines.append(Line(row, variant, results))
    return lines


def joined(played: Sequence[Played], folds: int) -> list[Played]:
    """Join the sessions of each round of seeds, each of which played another group of users."""
    rounds = [played[start : start + folds] for start in range(0, len(played), folds)]
    found = []
    for some in rounds:
        tallies = [one.tallies for one in some if one.tallies is not None]
        returns, whole = np.concatenate([one.returns for one in some]), len(tallies) == len(some)
        metrics = averaged([one.metrics for one in some])
        found.append(Played(returns, metrics, np.concatenate(tallies) if whole else None))
    return found


def ranked(lines: Sequence[Line]) -> list[Line]:
    """Sort lines by falling mean, and compare each with the first that is no reference and with its base."""
    ordered = sorted(lines, key=lambda line: -line.row.mean)
    first = next((line for line in ordered if line.row.kind != "truth"), None)
    found = []
    for line in ordered:
        base = _base(line, lines)
        to_base = None if base is None or base is line else paired(line, base)
        fair = first is not None and line.row.kind != "truth"
        to_best = paired(first, line) if first is not None and fair and line is not first else None
        tied = (to_best is None or to_best.low <= 0 <= to_best.high) if fair else None
        found.append(replace(line, best=line is first, tied=tied, to_best=to_best, to_base=to_base))
    return found


def paired(one: Line, other: Line) -> Comparison:
    """Return one line minus the other, over the same users and seeds."""
    return compare(one.row.returns, other.row.returns)


def by_random_feedback(lines: Sequence[Line]) -> list[tuple[Line, tuple[float, float, float] | None]]:
    """Sort lines by falling R_random. Beside each is the first that is no reference minus it, with its interval."""
    known = sorted((line for line in lines if line.row.random is not None), key=lambda line: -(line.row.random or 0.0))
    first = next((line.row.tallies for line in known if line.row.kind != "truth"), None)
    found: list[tuple[Line, tuple[float, float, float] | None]] = []
    for line in known:
        tallies = None if line.row.kind == "truth" else line.row.tallies
        found.append((line, None if first is None or tallies is None else difference(first, tallies)))
    return found


def _base(line: Line, lines: Sequence[Line]) -> Line | None:
    """Return the base of a line's group or of the study, evaluated in the same way."""
    fits = (
        other
        for other in lines
        if other.variant.base
        and other.row.sampled == line.row.sampled
        and other.variant.group in ("", line.variant.group)
        and (other.variant.learned or other.entry == line.entry)
    )
    return next(fits, None)


def first_and_second(table: ModeTable) -> tuple[Line, Line] | None:
    """Return the best lines of two rows that are no references. A row, its exit-aware twin and its start are one."""
    lines = [line for line in table.lines if line.row.kind != "truth"]
    names = [line.row.name.removesuffix(", exit-aware").replace(START, "") for line in lines]
    return next(((lines[0], line) for name, line in zip(names, lines, strict=True) if name != names[0]), None)


def origins(results: Results) -> dict[str, Any]:
    """Return how many cells come from which code, commit and machine."""
    found = [result.about for result in results.values()]
    gits, machines = ([about["provenance"][name] for about in found] for name in ("git", "machine"))
    return {
        "code": Counter(about["code"] for about in found),
        "commits": Counter(
            "unknown" if git is None else git["commit"][:10] + " with changes" * git["changed"] for git in gits
        ),
        "machines": Counter(
            f"{one['platform']}, {one['cpus']} CPUs" + (f", {one['gpu']}" if one["gpu"] else "") for one in machines
        ),
    }
