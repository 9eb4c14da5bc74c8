"""Pictures: they are drawn, atomic, free of overlapping labels, and say what is missing."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from darlr.errors import ConfigError, MachineError
from darlr.evaluation.pictures import bars, canvas, curves
from tests.evaluation.sample import ROW

RECORDS = [{"epoch": e, "steps": 10 * e, "reward": 2.0, "turns": 30, "penalty": 0.1 / e} for e in (1, 2, 3)]
POINTS = [{"epoch": e, "R_tra": 70.0 + e} for e in (1, 2, 3)]
LINES = {"random": 67.0, "item-mean list": 78.40, "world-model greedy": 78.41, "oracle (truth)": 88.0}


def size(path):
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(header[16:20]), int.from_bytes(header[20:24])


@pytest.fixture
def kept(monkeypatch):
    """The figures drawn, kept for a look at them."""
    figures = []
    save = canvas.save
    monkeypatch.setattr(canvas, "save", lambda figure, path: (figures.append(figure), save(figure, path)))
    return figures


def drawn(place, picture, *arguments, **more):
    canvas.save(picture(*arguments, **more), place)


def overlapping(axes):
    """Pairs of annotations whose boxes overlap."""
    texts = [text for text in axes.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    return [
        (one.get_text(), other.get_text())
        for i, one in enumerate(texts)
        for j, other in enumerate(texts[:i])
        if boxes[i].overlaps(boxes[j])
    ]


def test_learning_curve(tmp_path, kept):
    drawn(tmp_path / "new" / "curve.png", curves.learning_curve, RECORDS, POINTS, LINES)
    assert size(tmp_path / "new" / "curve.png")[0] == 1200
    top, *small = kept[0].axes
    assert [axes.get_title(loc="left") for axes in small if axes.get_visible()] == [
        "shaped reward a turn, as learned",
        "session length",
        "uncertainty penalty",
    ]
    assert len(top.texts) == 4
    assert overlapping(top) == []
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "curve.png"]


def test_without_a_truth_the_curve_is_what_is_earned_greedily(tmp_path, kept):
    points = [{**row, "greedy_return": 0.0041 + row["epoch"] / 1e4, "kept": 2} for row in RECORDS]
    drawn(tmp_path / "a.png", curves.learning_curve, points, points, {"start": 0.0041}, measure="greedy_return")
    top = kept[0].axes[0]
    assert top.get_ylabel() == "reward of a session"
    assert top.lines[1].get_ydata().tolist() == pytest.approx([0.0042, 0.0043, 0.0044])
    assert [text.get_text() for text in top.texts] == ["start  4.10e-03"]
    assert top.get_title(loc="left") == "dotted: epoch 2, which is handed over"
    drawn(tmp_path / "b.png", curves.learning_curve, RECORDS)  # nothing was evaluated
    assert [axes.get_ylabel() for axes in kept[1].axes if axes.get_visible()] == [""] * 3


@pytest.mark.parametrize("name", ["my shop " * 25, "W" * 200, "shop"])
def test_titles_are_whole(tmp_path, kept, name):
    rows = [ROW, replace(ROW, name="x" * 60)]
    records = [{"epoch": 1, "frozen": {"all": 0.8}, "dynamic": {"all": 0.7}}]
    drawn(tmp_path / "bars.png", bars.bar_chart, rows, title=name)
    drawn(tmp_path / "curve.png", curves.learning_curve, RECORDS, POINTS, LINES, title=name)
    drawn(tmp_path / "error.png", curves.estimation_error, records, title=name)
    for figure in kept:
        (title,) = [text for text in figure.texts if text.get_fontsize() == 11.5]
        found, whole = title.get_window_extent(), figure.get_window_extent()
        assert found.x1 <= whole.x1
        assert found.y1 <= whole.y1
        assert "".join(title.get_text().split()) == "".join(name.split())
        assert not any(found.overlaps(axes.get_tightbbox()) for axes in figure.axes if axes.get_visible())


def test_numbers_have_digits_enough(tmp_path, kept):
    rows = [replace(ROW, name=f"list {n}", mean=m, interval=(m, m)) for n, m in enumerate((0.1041, 0.1009))]
    drawn(tmp_path / "bars.png", bars.bar_chart, rows)
    assert [text.get_text() for text in kept[0].axes[0].texts] == ["0.1009", "0.1041"]
    lines = {row.name: row.mean for row in rows}
    drawn(tmp_path / "curve.png", curves.learning_curve, RECORDS, [{"epoch": 1, "R_tra": 0.1}], lines)
    assert [text.get_text() for text in kept[1].axes[0].texts] == ["list 1  0.1009", "list 0  0.1041"]


def test_nothing_recorded_yet_is_a_picture_too(tmp_path):
    drawn(tmp_path / "a.png", curves.learning_curve, [], [], {})
    drawn(tmp_path / "b.png", curves.learning_curve, RECORDS[:1], POINTS[:1])
    assert size(tmp_path / "a.png")[0] == size(tmp_path / "b.png")[0] == 1200


def test_bar_chart(tmp_path, kept):
    rows = [ROW, replace(ROW, name="oracle (truth)", kind="truth", mean=88.1, interval=(87, 89))]
    rows += [replace(ROW, name=f"list {i}", kind="log", mean=70 + i / 9, interval=(69, 72)) for i in range(12)]
    drawn(tmp_path / "bars.png", bars.bar_chart, rows)
    axes = kept[0].axes[0]
    labels = axes.get_yticklabels()
    assert [text.get_text() for text in labels][-2:] == ["DARLR", "oracle (truth)"]
    assert labels[-2].get_color() == canvas.LEARNED
    assert [bool(patch.get_hatch()) for patch in axes.patches] == [False] * 13 + [True]
    assert "axis starts at" in axes.get_xlabel()
    assert overlapping(axes) == []
    with pytest.raises(ConfigError, match="one mode"):
        drawn(tmp_path / "bars.png", bars.bar_chart, [ROW, replace(ROW, mode="FB")])
    with pytest.raises(ConfigError, match="one mode"):
        drawn(tmp_path / "bars.png", bars.bar_chart, [])


def test_short_bars_start_at_zero(tmp_path, kept):
    drawn(tmp_path / "bars.png", bars.bar_chart, [ROW, replace(ROW, name="random", mean=3.0, interval=(2.5, 3.5))])
    assert kept[0].axes[0].get_xlim()[0] == 0


def test_bars_of_negative_rewards_reach_zero(tmp_path, kept):
    rows = [replace(ROW, name=f"list {n}", mean=m, interval=(m - 1, m + 1)) for n, m in enumerate((-80.0, -10.0))]
    drawn(tmp_path / "bars.png", bars.bar_chart, rows)
    axes = kept[0].axes[0]
    left, right = axes.get_xlim()
    assert left < -81
    assert right > 0
    assert all(text.get_position()[0] > 0 for text in axes.texts)  # beside the bars, not on them
    assert axes.get_xlabel() == "R_tra"


def test_estimation_error(tmp_path, kept):
    records = [
        {"epoch": e, "frozen": {"all": 0.8, "1": 1.6}, "dynamic": {"all": 0.8 - 0.1 * e, "1": 1.2}} for e in (1, 2, 3)
    ]
    drawn(tmp_path / "error.png", curves.estimation_error, records)
    assert [axes.get_title(loc="left") for axes in kept[0].axes] == ["all cells", "true reward 1"]
    for axes in kept[0].axes:
        low, high = axes.get_ylim()
        assert low == 0
        assert high > 1.6
    with pytest.raises(ConfigError, match="nothing to plot"):
        drawn(tmp_path / "error.png", curves.estimation_error, [])


def test_labels_keep_apart_and_in_order():
    placed = canvas.apart([1.0, 1.1, 1.2, 5.0], 1.0)
    assert placed == pytest.approx([0.1, 1.1, 2.1, 5.0])
    assert canvas.apart([], 1.0) == []


def test_running_mean_by_hand():
    values = np.arange(40, dtype=float)
    smooth = curves.smooth(values)  # two to each side
    assert smooth[0] == 1.0
    assert smooth[20] == 20.0
    assert smooth[-1] == 38.0


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MachineError, match=r"pip install 'darlr\[plots\]'"):
        drawn(tmp_path / "curve.png", curves.learning_curve, RECORDS)
    assert list(tmp_path.iterdir()) == []


def test_a_dollar_is_a_dollar(tmp_path, kept):
    names = ["$5 or $6$", "$\\frac$"]  # the latter is no formula: as one it would be an error
    rows = [replace(ROW, name=name, mean=70.0 + place) for place, name in enumerate(names)]
    drawn(tmp_path / "bars.png", bars.bar_chart, rows, title="$a$ and $b$")
    drawn(tmp_path / "curve.png", curves.learning_curve, RECORDS, POINTS, {names[1]: 70.0}, title=names[1])
    assert [label.get_text() for label in kept[0].axes[0].get_yticklabels()] == names
    assert not any(label.get_parse_math() for label in kept[0].axes[0].get_yticklabels())
