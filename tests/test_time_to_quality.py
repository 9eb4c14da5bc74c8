"""Time to quality by hand, and a run of the command on the built-in world."""

import sys
from pathlib import Path

import pytest

from benchmarks import time_to_quality
from benchmarks.time_to_quality import DEFAULT, Seen, curve, mark, reached, report


def seen(setting: str, seed: int, values: list[float], pace: float) -> list[Seen]:
    return [
        Seen("mbpo", setting, seed, place * 100, place * pace, place * pace * 2, value)
        for place, value in enumerate(values, 1)
    ]


def test_the_mark_is_one_standard_error_below_the_mean() -> None:
    assert mark([8.0, 12.0]) == pytest.approx(10 - 2)  # deviation sqrt(8), by sqrt(2)
    assert mark([9.0]) == 9.0


def test_a_curve_is_a_mean_over_seeds_and_stops_where_one_of_them_does() -> None:
    rows = [*seen("x", 0, [1.0, 4.0, 9.0], 1.0), *seen("x", 1, [3.0, 6.0], 3.0)]
    points = curve(rows)
    assert points == [(2.0, 4.0, 2.0), (4.0, 8.0, 5.0)]
    assert reached(points, 2.0) == (2.0, 4.0)
    assert reached(points, 2.1) == (4.0, 8.0)
    assert reached(points, 5.1) is None


def test_the_report_names_who_reaches_the_default_and_when() -> None:
    rows = [*seen(DEFAULT, 0, [1.0, 8.0], 5.0), *seen(DEFAULT, 1, [1.0, 12.0], 5.0)]
    rows += [*seen("quick", 0, [7.0, 8.5], 1.0), *seen("slow", 0, [1.0, 7.9], 9.0)]
    lines = report(rows)
    assert "| `default` | 2 | 10.00 ± 2.00 | 10.0 | 20.0 | 10.0 |" in lines
    assert "| `quick` | 1 | 8.50 ± 0.00 | 2.0 | 4.0 | 2.0 |" in lines
    assert "| `slow` | 1 | 7.90 ± 0.00 | not reached |  | 18.0 |" in lines


def test_the_command_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "curves.jsonl"
    arguments = ["--data", "synthetic", "--methods", "mbpo", "--settings", "--sessions 16", "--seeds", "1"]
    arguments += ["--steps", "2000", "--every", "1000", "--quick-world", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["time_to_quality", *arguments])
    time_to_quality.main()
    first, lines = capsys.readouterr().out, out.read_text()
    assert first.count("seed 0") == 2
    time_to_quality.main()
    again = capsys.readouterr().out
    assert "seed 0" not in again
    assert first.endswith(again)
    assert out.read_text() == lines
