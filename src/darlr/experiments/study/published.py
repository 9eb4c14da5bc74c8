"""The published numbers beside our rows by the published statistic.

Source: result logs in the public repositories ArronDZhang/ROLeR and chongminggao/DORL-codes, recomputed; DARLR's row
from second-hand notes on arXiv 2505.07257. NX_0 R_tra, the mean over 200 training epochs of one seed, 100 random test
users an epoch, actions sampled: neither a final score nor a spread over seeds. On KuaiRec and KuaiRand, ROLeR and GT
ran with exit window N = 1, the others with the harder N = 4; BCQ, CQL and CRR are artefacts of masking bugs.
"""

from collections.abc import Sequence

from darlr.evaluation.evaluate import published_mean
from darlr.evaluation.report import table_lines
from darlr.experiments.study.assemble import Line, ModeTable
from darlr.io.text import markdown

DATA = ("KuaiRec", "KuaiRand", "Coat", "Yahoo")
# method -> mean R_tra on each of DATA
R_TRA: dict[str, tuple[float, float, float, float]] = {
    "darlr": (35.22, 13.82, 78.04, 68.54),
    "roler": (33.25, 13.46, 76.16, 68.36),
    "gt": (36.75, 14.37, 80.09, 68.88),
    "dorl": (20.49, 11.85, 71.40, 66.35),
    "mopo": (11.43, 10.93, 71.18, 65.51),
    "mbpo": (12.04, 10.93, 71.19, 64.55),
    "ips": (12.83, 3.63, 73.89, 57.85),
    "bcq": (2.12, 0.85, 68.80, 61.74),
    "cql": (2.51, 2.03, 68.98, 62.29),
    "crr": (4.16, 1.48, 67.38, 57.99),
    "sqn": (4.67, 0.91, 72.61, 57.73),
    "epsilon-greedy": (3.52, 1.71, 72.00, 64.34),
    "ucb": (3.61, 1.65, 73.67, 66.76),
}
EPOCHS = 200  # of the published runs
HEAD = ("row", "R_tra", "Length", "R_each", "epochs", "seeds", "published R_tra")


def section(data: str, tables: Sequence[ModeTable]) -> list[str]:
    """Markdown with the mean and the standard deviation over epochs of each learned row, beside published numbers."""
    column = {name.lower(): place for place, name in enumerate(DATA)}.get(data)
    shown = [line for table in tables if table.mode == "NX_0" and table.window in (None, 1) for line in table.lines]
    rows = [line for line in shown if line.source.learned and not line.row.sampled and line.row.kind != "log"]
    lines = [
        "## Published protocol",
        "",
        "After each epoch 100 random users play a session under NX_0, with sampled actions. Each number is the mean ± "
        "standard deviation over the epochs of a seed, and then the mean over seeds. It is neither a final score nor a "
        "spread over seeds, and serves only for a comparison with published numbers.",
        "",
        *table_lines(HEAD, [_cells(line, column) for line in rows]),
    ]
    short = [line.label for line in rows if 0 < _epochs(line) < EPOCHS]
    if short:
        lines += [
            "",
            f"These rows have fewer than {EPOCHS} epochs, so that the published numbers are of longer runs: "
            f"{', '.join(map(markdown, short))}.",
        ]
    return [*lines, ""]


def _epochs(line: Line) -> int:
    return min(len(result.about["curve"]) for result in line.results)


def _cells(line: Line, column: int | None) -> list[str]:
    found = [published_mean(result.about["curve"]) for result in line.results]

    def mean(name: str) -> float:
        values = [value for one in found if (value := one[name]) is not None]
        return sum(values) / len(values) if values else float("nan")

    known = R_TRA.get(line.source.variant.method) if column is not None else None
    beside = "–" if known is None or column is None else f"{known[column]:.2f}"
    reward = f"{mean('R_tra'):.2f} ± {mean('R_tra_std'):.2f}"
    numbers = (reward, f"{mean('Length'):.2f}", f"{mean('R_each'):.3f}")
    return [line.label, *numbers, str(_epochs(line)), str(len(found)), beside]
