"""The study of thinner logs: R_tra of every row on each share of the log, beside random choices."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from darlr.evaluation.numbers import style
from darlr.evaluation.pictures import canvas
from darlr.evaluation.pictures.canvas import INK, TRUTH
from darlr.evaluation.report import Section, table_lines
from darlr.experiments.study.assemble import Line, ModeTable, paired

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANDOM = "random"
WORSE = "#a3262a"


@dataclass(frozen=True)
class Thinned:
    """One greedy or trivial row on thinner and thinner logs.

    lines: by the share of the log, in the order of the study. failing: the shares where the 95% interval of the paired
    difference to random choices, over the same users and seeds, is not above 0.
    """

    name: str
    lines: dict[str, Line]
    failing: frozenset[str]

    @property
    def means(self) -> dict[str, float]:
        """R_tra on each log."""
        return {tail: line.row.mean for tail, line in self.lines.items()}

    @property
    def mean(self) -> float:
        """Mean R_tra over the logs."""
        return float(np.mean(list(self.means.values())))

    @property
    def threshold(self) -> str:
        """The largest share of the log on which it fails, or "none"."""
        shares = {tail: line.source.variant.value for tail, line in self.lines.items() if tail in self.failing}
        known = {share: tail for tail, share in shares.items() if share is not None}
        return known[max(known)].split()[0] if known else "none"

    def text(self, tail: str, form: str) -> str:
        """R_tra on one log in the number format `form`, in italics where the row fails."""
        number = format(self.means[tail], form) if tail in self.lines else "–"
        return f"*{number}*" if tail in self.failing else number


def thinned(table: ModeTable) -> list[Thinned]:
    """The rows of one table of the study, by falling mean over the logs."""
    rows: dict[str, dict[str, Line]] = {}
    # from the whole log to its smallest share, and other changes of the log last
    for line in sorted(table.greedy, key=lambda line: -(line.source.variant.value or 0)):
        rows.setdefault(line.entry, {})[line.source.variant.tail] = line
    chance = rows.get(RANDOM, {})
    found = [
        Thinned(name, members, frozenset(tail for tail in members if tail in chance and _fails(members, chance, tail)))
        for name, members in rows.items()
    ]
    return sorted(found, key=lambda row: -row.mean)


def _tails(rows: Sequence[Thinned]) -> list[str]:
    """The shares of the log, in order, of the row that has them all."""
    return list(max(rows, key=lambda row: len(row.lines)).lines)


def _fails(members: dict[str, Line], chance: dict[str, Line], tail: str) -> bool:
    return members[tail] is not chance[tail] and paired(members[tail], chance[tail]).low <= 0


NOTE = (
    "The numbers are R_tra of greedy policies. In italics a row is not surely better than random choices: the 95% "
    "interval of the paired difference over the same users and seeds includes 0 or is below it. A row fails at the "
    "largest share of the log where that happens."
)


def sections(tables: Sequence[ModeTable]) -> list[Section]:
    """Parts of a report with R_tra of every row on every log, under NX_0, and the share at which it fails."""
    found = []
    for table in tables:
        rows = thinned(table) if table.mode == "NX_0" else []
        if not rows:
            continue
        tails = _tails(rows)
        form = style([mean for row in rows for mean in row.means.values()])
        cells = [[row.name, *(row.text(tail, form) for tail in tails), row.threshold] for row in rows]
        content = [{"row": row.name, "fails at": row.threshold, "R_tra": row.means} for row in rows]
        lines = (*table_lines(("row", *tails, "fails at"), cells), "", NOTE)
        found.append(Section(f"Thinner logs: {table.title}", lines, content))
    return found


def picture(table: ModeTable, title: str) -> "Figure":
    """Plot R_tra of rows by logs, shaded from random to the best, and red where a row fails."""
    rows = thinned(table)
    tails = _tails(rows)
    means = np.array([[row.means.get(tail, np.nan) for tail in tails] for row in rows])
    form = style(means.ravel().tolist(), least=1)
    names = [row.name + (" †" if next(iter(row.lines.values())).row.kind == "truth" else "") for row in rows]
    ranked = [row.mean for row, name in zip(rows, names, strict=True) if not name.endswith("†")]
    figure = canvas.blank(1.3 + 0.24 * len(rows))
    axes = figure.add_subplot()
    low = next((row.mean for row in rows if row.name == RANDOM), float(np.nanmin(means)))
    axes.imshow(means, aspect="auto", cmap="Blues", vmin=low, vmax=low + 1.5 * (max(ranked, default=low + 1) - low))
    for (place, row), (column, tail) in ((a, b) for a in enumerate(rows) for b in enumerate(tails)):
        if tail not in row.lines:
            continue
        shade = means[place, column]
        fails = tail in row.failing
        dark = shade > low + 0.9 * (max(ranked, default=low + 1) - low)
        colour = WORSE if fails else ("white" if dark else INK)
        weight = "bold" if fails else "normal"
        axes.text(
            column, place, format(shade, form), ha="center", va="center", fontsize=8, color=colour, fontweight=weight
        )
    axes.set_yticks(range(len(rows)), names, color=INK)
    axes.set_xticks(range(len(tails)), [fill(tail, 9) for tail in tails], color=INK)
    axes.tick_params(length=0)
    canvas.head(figure, title)
    axes.set_xlabel("R_tra, greedy; red: not surely better than random; †: reads the truth", fontsize=9, color=INK)
    axes.set_facecolor(TRUTH)
    return canvas.finished(figure, grid=False)
