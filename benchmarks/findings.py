"""Pictures of findings at the top of docs/results.md, from the differences in the tables of that page.

python -m benchmarks.findings        # writes docs/images/finding-leaving.png and finding-start.png
"""

import re
from collections.abc import Iterator
from pathlib import Path

from darlr.evaluation.pictures import canvas
from darlr.evaluation.pictures.bars import Bar, plot_bars

PAGE, IMAGES = Path("docs/results.md"), Path("docs/images")
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
DIFFERENCE = re.compile(r"([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]")


def rows(page: str, *titles: str) -> Iterator[list[str]]:
    """The cells of each row, without emphasis, of the tables whose first columns have these titles."""
    for found in TABLE.finditer(page):
        lines = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in found[0].splitlines()]
        if tuple(lines[0][: len(titles)]) == titles:
            yield from lines[2:]


def bar(label: str, cell: str, kind: str) -> Bar:
    """A paired difference of the page, such as "+0.07 [-0.09, +0.22]", with its 95% interval."""
    found = DIFFERENCE.search(cell)
    value, low, high = (0.0, 0.0, 0.0) if found is None else map(float, found.groups())
    return Bar(label, value, low, high, kind, f"{value:+.2f}")


def leaving(page: str) -> list[Bar]:
    """DARLR+ less Bayes greedy, under each rule and for each kind of reward that users feel."""
    kinds = {"built-in world": "learned", "no noise": "log", "Coat, own ratings": "baseline"}
    found = rows(page, "users leave", "played on")
    return [bar(cells[0], cells[4], kinds[cells[1]]) for cells in found if cells[1] in kinds]


def start(page: str) -> list[Bar]:
    """The last epoch less the start, in drawn worlds and on the truth."""
    return [
        bar(f"{cells[0]}, {cells[1].split(',')[0]}", cells[place], kind)
        for cells in rows(page, "log", "tastes, policy")
        for place, kind in ((3, "log"), (5, "learned"))
        if cells[1].endswith("last")
    ]


PICTURES = {
    "finding-leaving": (
        leaving,
        "New users who leave: DARLR+, which prices leaving, less Bayes greedy",
        {"learned": "built-in world", "log": "built-in world, no noise", "baseline": "Coat, own ratings"},
    ),
    "finding-start": (
        start,
        "DARLR+: its last epoch less its start, trained in the mean world and in drawn ones",
        {"learned": "on the truth", "log": "in drawn worlds"},
    ),
}


def main() -> None:
    """Draw all pictures."""
    from PIL import Image

    page = PAGE.read_text("utf-8")
    for name, (bars, title, names) in PICTURES.items():
        path = IMAGES / f"{name}.png"
        note = "difference of the return, with 95% intervals"
        canvas.save(plot_bars(bars(page), title, note=note, names=names), path)
        Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)  # a third of the size


if __name__ == "__main__":
    main()
