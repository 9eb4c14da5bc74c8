"""From finished cells to table rows: intervals, differences to the best row and to the study's base, ties."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from darlr.evaluation.evaluate import Row, summarise
from darlr.evaluation.lists import Entry, Kind
from darlr.evaluation.playing import Played, Setting
from darlr.evaluation.random_feedback import difference
from darlr.evaluation.report import label as marked
from darlr.evaluation.statistics import Comparison, compare
from darlr.evaluation.verdict import START
from darlr.experiments.study.cells import RANDOM_FEEDBACK, STARTED, Result
from darlr.experiments.study.grid import Grid, GridRow
from darlr.methods import find
from darlr.options import Mode
from darlr.simulation.exits import never

MODES: tuple[Mode, ...] = ("NX_0", "FB", "NX_10")
Results = Mapping[str, Result]  # a cell's folder name -> its result


@dataclass(frozen=True)
class Line:
    """One line of one table.

    row: the numbers. source: the grid's row. results: one a seed. best: whether it is first of its table; tied: whether
    the 95% interval of the paired difference to the first includes 0 (None for references). to_best: first minus this.
    to_base: this minus the study's base row.
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
        """Its name with its marks."""
        return marked(self.row, learned=self.source.learned)

    @property
    def cpu_seconds(self) -> float:
        """Mean over seeds; of a cell with several lines, that of all of them together."""
        return float(np.mean([result.about["cpu_seconds"] for result in self.results]))

    @property
    def steps(self) -> int:
        """Simulated steps of training."""
        return int(self.results[0].about["steps"])


@dataclass(frozen=True)
class Block:
    """One table: one mode under one exit window. window: None where no exit can happen at all."""

    mode: Mode
    window: int | None
    lines: list[Line]

    @property
    def title(self) -> str:
        """What is played."""
        what = {"NX_0": "NX_0: no repeats", "FB": "FB: repeats allowed", "NX_10": "NX_10: no repeats, exactly 10 turns"}
        if self.window is None:
            return what[self.mode] + (", no exit can happen" if self.mode != "NX_10" else "")
        rule = f"exit window N = {self.window}"
        return f"{what[self.mode]}, " + (f"no exits, trained with {rule}" if self.mode == "NX_10" else rule)


def assemble(grid: Grid, results: Results, *, resamples: int = 2000) -> list[Block]:
    """Every table of the grid, its lines by falling R_tra. Rows with a missing cell are left out."""
    blocks = []
    for window, mode in product(grid.windows, MODES):
        lines = [
            line
            for row in grid.rows
            if all(cell.folder in results for cell in row.cells[window])
            for line in _lines(row, [results[cell.folder] for cell in row.cells[window]], mode, window, resamples)
        ]
        blocks.append(Block(mode, window, judge(lines, resamples=resamples)))
    return blocks


def _lines(row: GridRow, results: Sequence[Result], mode: Mode, window: int | None, resamples: int) -> list[Line]:
    played = window if mode != "NX_10" else None
    lines = []
    for name, facts in results[0].about["entries"].items():
        key = f"{name}|{mode}|{played or ''}"
        if key not in results[0].returns:
            continue  # an exit-aware entry where no exit can happen
        seeds = [
            Played(result.returns[key], result.about["metrics"][key], result.returns.get(f"{key}{RANDOM_FEEDBACK}"))
            for result in results
        ]
        if all(np.array_equal(one.returns, seeds[0].returns) for one in seeds):
            seeds = seeds[:1]  # a list that no seed changes: one row of users, not five alike
        kind: Kind = "truth" if row.learned and find(row.variant.method).truth else facts["kind"]
        entry = Entry(_name(row, name), (), kind, facts["greedy"], facts["exit_aware"])
        lines.append(Line(summarise(entry, Setting(mode, played, never), seeds, resamples=resamples), row, results))
    return lines


def _name(row: GridRow, entry: str) -> str:
    tail = f", {row.variant.tail}" if row.variant.tail else ""
    if entry == STARTED:
        return row.variant.label.removesuffix(tail) + START + tail
    return row.variant.label if row.learned else entry + tail


def judge(lines: Sequence[Line], *, resamples: int = 2000) -> list[Line]:
    """Lines by falling mean, each with its paired difference to the first that is no reference, and to its base."""
    ordered = sorted(lines, key=lambda line: -line.row.mean)
    first = next((line for line in ordered if line.row.kind != "truth"), None)
    judged = []
    for line in ordered:
        base = _base(line, lines)
        to_base = None if base is None or base is line else paired(line, base, resamples)
        if first is None or line.row.kind == "truth":
            judged.append(replace(line, to_base=to_base))
        elif line is first:
            judged.append(replace(line, best=True, tied=True, to_base=to_base))
        else:
            found = paired(first, line, resamples)
            judged.append(replace(line, tied=found.low <= 0 <= found.high, to_best=found, to_base=to_base))
    return judged


def paired(one: Line, other: Line, resamples: int = 2000) -> Comparison:
    """One minus the other over the same users and seeds."""
    return compare(one.row.returns, other.row.returns, resamples=resamples)


def by_random_feedback(lines: Sequence[Line]) -> list[tuple[Line, tuple[float, float, float] | None]]:
    """Lines by falling R_random, each with the first that is no reference less it: difference and 95% interval."""
    told = sorted((line for line in lines if line.row.random is not None), key=lambda line: -(line.row.random or 0.0))
    first = next((line for line in told if line.row.kind != "truth"), None)
    found: list[tuple[Line, tuple[float, float, float] | None]] = []
    for line in told:
        assert line.row.tallies is not None
        apart = None
        if first is not None and first.row.tallies is not None and line.row.kind != "truth":
            apart = difference(first.row.tallies, line.row.tallies)
        found.append((line, apart))
    return found


def _base(line: Line, lines: Sequence[Line]) -> Line | None:
    """What a study compares a line with: the base row of its group, else of the study, played the same way."""
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
    """A row's name without what is left of the log."""
    tail = line.source.variant.tail
    return line.row.name.removesuffix(f", {tail}") if tail else line.row.name


def first_and_second(block: Block) -> tuple[Line, Line] | None:
    """The two best lines of different rows, references left out; a row, its exit-aware twin and its start are one."""
    ranked = [line for line in block.lines if line.row.kind != "truth"]
    names = [line.row.name.removesuffix(", exit-aware").replace(START, "") for line in ranked]
    second = next((place for place, name in enumerate(names) if name != names[0]), None)
    return None if second is None else (ranked[0], ranked[second])


def about(results: Results) -> dict[str, Any]:
    """Code digests and machines behind the numbers."""
    codes: dict[str, int] = {}
    commits: dict[str, int] = {}
    machines: dict[str, int] = {}
    for result in results.values():
        facts = result.about["provenance"]
        git = facts["git"]
        commit = "unknown" if git is None else git["commit"][:10] + (" with changes" if git["changed"] else "")
        machine = facts["machine"]
        text = f"{machine['platform']}, {machine['cpus']} CPUs" + (f", {machine['gpu']}" if machine["gpu"] else "")
        for counts, name in ((codes, result.about["code"]), (commits, commit), (machines, text)):
            counts[name] = counts.get(name, 0) + 1
    return {"code": codes, "commits": commits, "machines": machines}
