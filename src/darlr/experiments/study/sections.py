"""Parts of the report of a comparison: published numbers beside ours, and the methods on thinner logs.

Source of the published numbers: result logs in the public repositories ArronDZhang/ROLeR and chongminggao/DORL-codes,
recomputed; DARLR's row is from second-hand notes on arXiv 2505.07257. They are NX_0 R_tra, the mean over 200 training
epochs of one seed, 100 random test users an epoch, actions sampled: neither a final score nor a spread over seeds. On
KuaiRec and KuaiRand, ROLeR and GT ran with exit window N = 1, the others with the harder N = 4; BCQ, CQL and CRR are
artefacts of masking bugs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from darlr.evaluation.evaluate import published_mean
from darlr.evaluation.numbers import style
from darlr.evaluation.report import Section, table_lines
from darlr.experiments.study.assemble import Line, ModeTable, paired
from darlr.io.text import markdown

Means = Mapping[str, float | int | None]  # the published statistic of one seed
METHODS = ["darlr", "roler", "gt", "dorl", "mopo", "mbpo", "ips", "bcq", "cql", "crr", "sqn", "epsilon-greedy", "ucb"]
R_TRA = {  # data set -> mean R_tra of each of METHODS
    "kuairec": (35.22, 33.25, 36.75, 20.49, 11.43, 12.04, 12.83, 2.12, 2.51, 4.16, 4.67, 3.52, 3.61),
    "kuairand": (13.82, 13.46, 14.37, 11.85, 10.93, 10.93, 3.63, 0.85, 2.03, 1.48, 0.91, 1.71, 1.65),
    "coat": (78.04, 76.16, 80.09, 71.40, 71.18, 71.19, 73.89, 68.80, 68.98, 67.38, 72.61, 72.00, 73.67),
    "yahoo": (68.54, 68.36, 68.88, 66.35, 65.51, 64.55, 57.85, 61.74, 62.29, 57.99, 57.73, 64.34, 66.76),
}
EPOCHS = 200  # of the published runs
HEAD = ("row", "R_tra", "Length", "R_each", "epochs", "seeds", "published R_tra")
ABOUT = (
    "After each epoch 100 random users play a session under NX_0, with sampled actions. Each number is the mean ± "
    "standard deviation over the epochs of a seed, and then the mean over seeds. It is neither a final score nor a "
    "spread over seeds, and serves only for a comparison with published numbers."
)


def published(data: str, tables: Sequence[ModeTable]) -> Section:
    """Return the mean and the standard deviation over epochs of each learned row, beside published numbers."""
    known = dict(zip(METHODS, R_TRA.get(data, ()), strict=False))
    shown = [line for table in tables if table.mode == "NX_0" and table.window in (None, 1) for line in table.lines]
    rows = [line for line in shown if line.variant.learned and not line.row.sampled and line.row.kind != "log"]
    found = [(line, [published_mean(result.about["curve"]) for result in line.results]) for line in rows]
    cells = [_cells(line.label, seeds, known.get(line.variant.method)) for line, seeds in found]
    lines = [ABOUT, "", *table_lines(HEAD, cells)]
    short = ", ".join(markdown(line.label) for line, seeds in found if 0 < _epochs(seeds) < EPOCHS)
    if short:
        lines += ["", f"These rows have fewer than {EPOCHS} epochs, but the published runs have {EPOCHS}: {short}."]
    content = [{"row": line.label, "seeds": seeds} for line, seeds in found]
    return Section("Published protocol", tuple(lines), content)


def _epochs(seeds: Sequence[Means]) -> int:
    return min(int(means["epochs"] or 0) for means in seeds)


def _cells(label: str, seeds: Sequence[Means], theirs: float | None) -> list[str]:
    def mean(name: str) -> float:
        values = [value for means in seeds if (value := means[name]) is not None]
        return sum(values) / len(values) if values else float("nan")

    reward = f"{mean('R_tra'):.2f} ± {mean('R_tra_std'):.2f}"
    numbers = (reward, f"{mean('Length'):.2f}", f"{mean('R_each'):.3f}", str(_epochs(seeds)), str(len(seeds)))
    return [label, *numbers, "–" if theirs is None else f"{theirs:.2f}"]


RANDOM = "random"


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
        shares = {tail: line.variant.value for tail, line in self.lines.items() if tail in self.failing}
        known = {share: tail for tail, share in shares.items() if share is not None}
        return known[max(known)].split()[0] if known else "none"

    def text(self, tail: str, form: str) -> str:
        """Write R_tra on one log in the number format `form`, in italics where the row fails."""
        number = format(self.means[tail], form) if tail in self.lines else "–"
        return f"*{number}*" if tail in self.failing else number


def thinned(table: ModeTable) -> list[Thinned]:
    """Return the rows of one table of the study, by falling mean over the logs."""
    rows: dict[str, dict[str, Line]] = {}
    # from the whole log to its smallest share, and other changes of the log last
    for line in sorted(table.greedy, key=lambda line: -(line.variant.value or 0)):
        rows.setdefault(line.entry, {})[line.variant.tail] = line
    chance = rows.get(RANDOM, {})
    found = []
    for name, members in rows.items():
        both = [(tail, line, chance[tail]) for tail, line in members.items() if tail in chance and name != RANDOM]
        found.append(Thinned(name, members, frozenset(tail for tail, *pair in both if paired(*pair).low <= 0)))
    return sorted(found, key=lambda row: -row.mean)


def logs_of(rows: Sequence[Thinned]) -> list[str]:
    """Return the shares of the log, in order, of the row that has them all."""
    return list(max(rows, key=lambda row: len(row.lines)).lines)


NOTE = (
    "The numbers are R_tra of greedy policies. In italics a row is not surely better than random choices: the 95% "
    "interval of the paired difference over the same users and seeds includes 0 or is below it. A row fails at the "
    "largest share of the log where that happens."
)


def thinner_logs(tables: Sequence[ModeTable]) -> list[Section]:
    """Return parts of a report with R_tra of every row on every log, under NX_0, and the share at which it fails."""
    found = []
    for table in tables:
        rows = thinned(table) if table.mode == "NX_0" else []
        if not rows:
            continue
        tails = logs_of(rows)
        form = style([mean for row in rows for mean in row.means.values()])
        cells = [[row.name, *(row.text(tail, form) for tail in tails), row.threshold] for row in rows]
        content = [{"row": row.name, "fails at": row.threshold, "R_tra": row.means} for row in rows]
        lines = (*table_lines(("row", *tails, "fails at"), cells), "", NOTE)
        found.append(Section(f"Thinner logs: {table.title}", lines, content))
    return found
