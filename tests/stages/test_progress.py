"""The progress bar in 80 columns, and the lines in its place where there is no terminal."""

import io
import re

import pytest
from rich.console import Console

from darlr.stages import progress
from darlr.stages.progress import Meter, clock, numbers, say

METRICS = {"reward": -12.3456, "turns": 28.11, "penalty": 10.123, "similarity": -0.5, "diversity": 0.987, "loss": 9.0}


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> io.StringIO:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=80, color_system=None)
    monkeypatch.setattr(progress, "console", console)
    return file


def test_everything_fits_beside_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    file = shown(monkeypatch, terminal=True)
    with Meter("darlr") as meter:
        meter.show(199.5, 200, METRICS)
    last = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", file.getvalue()).splitlines()[-1]
    assert last.startswith("darlr ━")
    assert "199/200" in last
    assert " -:--:-- " in last  # too early to tell
    assert last.rstrip().endswith("reward -12.35 len 28.1 pen 10.12 sim -0.50 div 0.99")
    assert "…" not in last
    assert len(last) <= 80


def test_a_line_an_epoch_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    file = shown(monkeypatch, terminal=False)
    moments = iter([0.0, 1.0, 2.0, 4.0, 5.0, 50.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(moments))
    with Meter("darlr") as meter:
        for done in (0.5, 1.0, 1.5, 2.0):
            meter.show(done, 4, {"reward": 1.0})
        meter.begin("more")
        meter.show(0.0, 2, {})
    assert file.getvalue().splitlines() == [
        "darlr: epoch 0/4, begins, reward 1.00",
        "darlr: epoch 1/4, 0:00:06 left, reward 1.00",
        "darlr: epoch 2/4, 0:00:05 left, reward 1.00",
        "more: epoch 0/2, begins",
    ]


def test_clock_and_numbers() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3671)] == ["0:00:00", "0:01:00", "1:01:11"]
    assert numbers({"held_out_rmse": None}) == ""


def test_messages_are_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    file = shown(monkeypatch, terminal=True)
    say("run in " + "long/" * 40 + "[bold]")
    assert file.getvalue().splitlines() == ["run in " + "long/" * 40 + "[bold]"]
