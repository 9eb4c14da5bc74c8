"""The published numbers beside our rows by the published statistic.

Source: result logs in the public repositories ArronDZhang/ROLeR and chongminggao/DORL-codes, recomputed; DARLR's row
from second-hand notes on arXiv 2505.07257. NX_0 R_tra, the mean over 200 training epochs of one seed, 100 random test
users an epoch, actions sampled: neither a final score nor a spread over seeds. On KuaiRec and KuaiRand, ROLeR and GT
ran with exit window N = 1, the others with the harder N = 4; BCQ, CQL and CRR are artefacts of masking bugs.
"""

from collections.abc import Mapping, Sequence

from darlr.evaluation.evaluate import published_mean
from darlr.evaluation.report import Section, table_lines
from darlr.experiments.study.assemble import ModeTable
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


def section(data: str, tables: Sequence[ModeTable]) -> Section:
    """The mean and the standard deviation over epochs of each learned row, beside published numbers."""
    known = dict(zip(METHODS, R_TRA.get(data, ()), strict=False))
    shown = [line for table in tables if table.mode == "NX_0" and table.window in (None, 1) for line in table.lines]
    rows = [line for line in shown if line.source.learned and not line.row.sampled and line.row.kind != "log"]
    found = [(line, [published_mean(result.about["curve"]) for result in line.results]) for line in rows]
    cells = [_cells(line.label, seeds, known.get(line.source.variant.method)) for line, seeds in found]
    lines = [ABOUT, "", *table_lines(HEAD, cells)]
    short = ", ".join(markdown(line.label) for line, seeds in found if 0 < _epochs(seeds) < EPOCHS)
    if short:
        lines += ["", f"These rows have fewer than {EPOCHS} epochs, but the published runs have {EPOCHS}: {short}."]
    content = [{"row": line.label, "seeds": seeds} for line, seeds in found]
    return Section("Published protocol", tuple(lines), content)


def _epochs(seeds: Sequence[Means]) -> int:
    return min(int(means["epochs"] or 0) for means in seeds)


def _cells(label: str, seeds: Sequence[Means], published: float | None) -> list[str]:
    def mean(name: str) -> float:
        values = [value for means in seeds if (value := means[name]) is not None]
        return sum(values) / len(values) if values else float("nan")

    reward = f"{mean('R_tra'):.2f} ± {mean('R_tra_std'):.2f}"
    numbers = (reward, f"{mean('Length'):.2f}", f"{mean('R_each'):.3f}", str(_epochs(seeds)), str(len(seeds)))
    return [label, *numbers, "–" if published is None else f"{published:.2f}"]
