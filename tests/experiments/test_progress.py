"""The progress bar in 80 columns and in a notebook, and the lines in its place elsewhere."""

import io
import math
import re
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from rich.console import Console

from darlr.data.unit import Unit
from darlr.experiments import progress
from darlr.experiments.progress import Meter, clock, numbers, say, speaking, watched

METRICS = {"estimate": -12345.6, "turns": 28.11, "reward": 9.0}


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
    assert last.rstrip().endswith("reward -1.235e+04 a turn, 28.1 turns")
    assert "…" not in last
    assert len(last) <= 80


def test_a_line_an_epoch_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    file = shown(monkeypatch, terminal=False)
    moments = iter([0.0, 0.0, 1.0, 2.0, 4.0, 5.0, 50.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(moments))
    with Meter("darlr") as meter:
        for done in (0.5, 1.0, 1.5, 2.0):
            meter.show(done, 4, {"estimate": 1.0})
        meter.begin("more")
        meter.show(0.0, 2, {})
    assert file.getvalue().splitlines() == [
        "darlr: epoch 0/4, begins, reward 1 a turn",
        "darlr: epoch 1/4, 0:00:06 left, reward 1 a turn",
        "darlr: epoch 2/4, 0:00:05 left, reward 1 a turn",
        "more: epoch 0/2, begins",
    ]


def test_parts_have_bars_below_that_of_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    file = shown(monkeypatch, terminal=True)
    with Meter("cells") as meter:
        meter.show(0.5, 3, count=0)
        meter.show_parts([("mbpo seed 0", 0.5, "epoch 1/2", 61.0), ("world seed 1", 0.0, "", 2.0)])
        meter.note("world seed 0: done in 3 s")
        meter.show_parts([("world seed 1", 0.0, "", 3.0)])
    lines = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", file.getvalue()).splitlines()
    assert "world seed 0: done in 3 s" in lines
    assert lines[-2].startswith("cells ")
    assert "0/3" in lines[-2]
    assert lines[-1].startswith("  world seed 1 ")
    assert lines[-1].rstrip().endswith("0:00:03")


def test_a_note_says_how_far_the_stage_is_where_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    file = shown(monkeypatch, terminal=False)
    moments = iter([0.0, 0.0, 0.0, 10.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(moments))
    with Meter("cells") as meter:
        meter.begin("cells", after=math.inf)
        meter.show(0.0, 3)
        meter.show(1.5, 3, count=1)
        meter.show_parts([("mbpo seed 0", 0.5, "epoch 1/2", 61.0)])
        meter.note("world seed 0: done")
    assert file.getvalue().splitlines() == ["[1/3, 0:00:10 left] world seed 0: done"]


def test_lines_of_the_largest_numbers_fit_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    file = shown(monkeypatch, terminal=False)
    with Meter("darlr") as meter:
        meter.show(199.0, 200, METRICS)
    (line,) = file.getvalue().splitlines()
    assert line == "darlr: epoch 199/200, begins, reward -1.235e+04 a turn, 28.1 turns"
    assert len(line.replace("begins", "0:00:06 left")) <= 80


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1.0, 5.0, "reward 3 a turn, 2.0 turns"),
        (0.0, 0.01, "reward 0.005 a turn, 2.0 turns"),
        (-10.0, 10.0, "reward 0 a turn, 2.0 turns"),
    ],
)
def test_rewards_are_in_the_logs_unit_and_not_shaped(low: float, high: float, text: str) -> None:
    metrics = {"reward": 9.0, "estimate": 3.0, "turns": 2.0}
    assert numbers(watched(metrics, Unit(low, high, bounds=(low, high)))) == text


def test_clock_and_numbers() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3671)] == ["0:00:00", "0:01:00", "1:01:11"]
    assert numbers({"held_out_rmse": None}) == ""


def test_messages_are_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    file = shown(monkeypatch, terminal=True)
    say("run in " + "long/" * 40 + "[bold]")
    assert file.getvalue().splitlines() == ["run in " + "long/" * 40 + "[bold]"]


class Output:
    """Stands in for the notebook's widget: keeps what was displayed in it."""

    inside = False

    def clear_output(self, wait: bool) -> None: ...

    def __enter__(self) -> None:
        Output.inside = True

    def __exit__(self, *_: object) -> None:
        Output.inside = False


def notebook(monkeypatch: pytest.MonkeyPatch, *, widgets: bool) -> list[str]:
    """A console that believes it is in a notebook. Returns the texts that widgets show."""
    bars: list[str] = []

    def display(shown: object) -> None:
        text = "" if isinstance(shown, Output) else shown._repr_mimebundle_([], [])["text/plain"]  # type: ignore[attr-defined]
        if text.strip():
            assert Output.inside  # nothing but the bar goes round standard output
            bars.append(text)

    for name, content in {"ipywidgets": {"Output": Output}, "IPython.display": {"display": display}}.items():
        module = ModuleType(name)
        module.__dict__.update(content, __spec__=ModuleSpec(name, None))
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(progress, "find_spec", lambda name: ModuleSpec(name, None) if widgets else None)
    monkeypatch.setattr(progress, "console", Console(stderr=True, force_jupyter=True, width=80))
    return bars


def epochs_in_a_notebook() -> None:
    with Meter("darlr") as meter:
        for done in (1.0, 2.0):
            meter.show(done, 2, METRICS)
        say("kept in runs/shop")


def test_a_notebook_shows_a_bar_where_it_has_widgets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = notebook(monkeypatch, widgets=True)
    epochs_in_a_notebook()
    last = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", bars[-1])
    assert last.startswith("darlr ━")
    assert "2/2" in last
    assert capsys.readouterr() == ("kept in runs/shop\n", "")


def test_a_notebook_without_widgets_shows_lines_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = notebook(monkeypatch, widgets=False)
    epochs_in_a_notebook()
    shown = capsys.readouterr()
    assert [line.split(",")[0] for line in shown.out.splitlines()] == [
        "darlr: epoch 1/2",
        "darlr: epoch 2/2",
        "kept in runs/shop",
    ]
    assert (bars, shown.err) == ([], "")


@pytest.mark.parametrize("widgets", [True, False])
def test_a_quiet_notebook_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], widgets: bool
) -> None:
    bars = notebook(monkeypatch, widgets=widgets)
    with speaking(False):
        epochs_in_a_notebook()
    assert (bars, capsys.readouterr()) == ([], ("", ""))
