"""The benchmark page: numbers as text, growth, what is kept between calls, and the whole page from made-up rows."""

from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import growth, page
from benchmarks.growth import AXES, BASE, METHODS, Point
from benchmarks.training_rows import Result
from tests import forked


def test_a_row_by_hand() -> None:
    row = Result("loop", "12", "CPU-s", "python loop", [10.0, 12.0, 20.0], floor=4.0)
    assert page.cells(row) == ["≤ 12", "12", "10 to 20", "4", "3.0"]
    assert page.cells(Result("loop", "9", "steps/s", "python loop", [10.0])) == ["≥ 9", "10", "", "", ""]
    assert page.cells(Result("pool", "6", "CPU-s", "python pool", note="no such option")) == ["≤ 6", "", "", "", ""]
    assert [page.number(value) for value in (0.01234, 9.876, 12345.6)] == ["0.0123", "9.88", "12,346"]


def test_the_slope_of_a_power_is_its_exponent() -> None:
    assert growth.exponent([1, 2, 4, 8], [3 * size**1.5 for size in (1, 2, 4, 8)]) == pytest.approx(1.5)


def points() -> dict[str, Point]:
    """Time grows with the users, memory with their square; nothing else matters."""
    found = {}
    for method in METHODS:
        for axis, values in AXES.items():
            for value in values:
                sizes = {**BASE, axis: value}
                found[growth.key(method, sizes)] = Point(sizes["users"] / 100, 200.0, sizes["users"] ** 2 / 1e4)
    return found


def test_growth_is_reported_and_drawn(tmp_path: Path) -> None:
    assert "| DARLR | users | 1.00 | 2.00 |" in page.slopes(points())
    assert "| DARLR | items | 0.00 | 0.00 |" in page.slopes(points())
    growth.draw(points(), tmp_path / "time.png", tmp_path / "memory.png")
    for name in ("time.png", "memory.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_page_holds_every_row_with_its_command() -> None:
    state = {name: asdict(Result(name, "1", "CPU-s", f"measure {name}", [2.0], 1.0)) for name, _ in page.rows()}
    state["commit"] = {"commit": "0123456789", "changed": True}
    state[page.GROWTH] = {name: asdict(point) for name, point in points().items()}
    text = page.page(state, load_average=1.5)
    for name, _ in page.rows():
        assert f"\n| {name} | CPU-s | ≤ 1 | 2 |  | 1 | 2.0 |" in text
        assert f"\n    measure {name}\n" in text
    assert "at commit 0123456, with changes," in text
    plain = dict(page.rows(compiled=False))
    less = page.page({name: value for name, value in state.items() if "compiled" not in name}, load_average=1.5)
    assert {name for name, _ in page.rows() if f"\n| {name} |" in less} == set(plain)
    assert len(plain) < len(dict(page.rows()))
    assert "load average 1.5" in text
    kept = f"{page.APART}\n\na table\n"
    again = page.page(state, 1.5, page.apart(page.page(state, 1.5, kept)))
    assert again == f"{text}{kept}"
    assert page.apart(text) == ""


def test_only_rows_of_the_same_committed_code_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "STATE", tmp_path / "bench.json")
    clean, changed = {"commit": "a", "changed": False}, {"commit": "a", "changed": True}
    assert page.load(clean, fresh=False) == {"commit": clean}
    page.keep({"commit": clean, "row": 1})
    assert page.load(clean, fresh=False) == {"commit": clean, "row": 1}
    assert page.load(clean, fresh=True) == {"commit": clean}
    assert page.load({"commit": "b", "changed": False}, fresh=False) == {"commit": {"commit": "b", "changed": False}}
    page.keep({"commit": changed, "row": 1})
    assert page.load(changed, fresh=False) == {"commit": changed}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_the_peak_of_a_piece_of_work() -> None:
    # in a process of its own, as the page measures it: what earlier tests left behind would hide the peak
    code = (
        "from benchmarks.memory import peak_of\n"
        "print(peak_of(lambda: bytearray(b'x' * 50_000_000) and None).peak, peak_of(lambda: None).peak)"
    )
    done = forked.run(code)
    assert done.returncode == 0, done.stderr
    work, nothing = map(float, done.stdout.split())
    assert 45 < work < 160  # the literal and the array
    assert nothing < 10
