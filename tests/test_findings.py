"""The pictures of the findings: rows of the page's tables become bars, and each finding shows a picture."""

import re
from pathlib import Path

from benchmarks.findings import bar, rows, start

ROOT = Path(__file__).parents[1]
PAGE = """
| log | tastes, policy | in drawn worlds | minus start [95%] | R_tra on the truth | minus start [95%] |
|---|---|---:|---:|---:|---:|
| Coat | start | 2.00 | – | 3.00 | – |
| Coat | mean, last | 1.50 | **-0.50 [-0.60, -0.40]** | 3.10 | +0.10 [-0.10, +0.30] |

| log | method |
|---|---|
| Coat | mean, last |
"""


def test_differences_of_the_page_become_bars() -> None:
    assert [cells[1] for cells in rows(PAGE, "log", "tastes, policy")] == ["start", "mean, last"]
    drawn, truth = start(PAGE)
    assert (drawn.label, drawn.value, drawn.low, drawn.high, drawn.kind) == ("Coat, mean", -0.5, -0.6, -0.4, "log")
    assert (truth.value, truth.low, truth.high, truth.text) == (0.1, -0.1, 0.3, "+0.10")
    assert bar("equal", "0.00", "log").value == 0


def test_each_finding_has_a_picture() -> None:
    text = (ROOT / "docs/results.md").read_text("utf-8")
    findings = re.findall(r"^\d\. \*\*.*$", text.split("## How to read")[0], re.MULTILINE)
    assert len(findings) == 5
    for finding in findings:
        pictures = re.findall(r"\((images/[^)]+)\)", finding)
        assert pictures
        assert all((ROOT / "docs" / place).is_file() for place in pictures)
