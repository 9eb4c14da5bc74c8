"""`darlr compare --users new` on a tiny world: every user is hidden once, and rows are those of new users."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from darlr.cli.main import main
from darlr.experiments.study import executors
from darlr.experiments.study.cells import RESULT, read_result
from tests import forked
from tests.experiments.study.conftest import TINY

# One kind of world model serves all rows. A belief would be sampled anew for each of four cells.
ROWS = ["--methods", "darlr+,ease,trivial", "--model.kind", "deepfm"]
OPTIONS = [*ROWS, "--windows", "1", "--split.hidden", "0.5", *TINY]


@pytest.fixture(scope="module")
def both(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(executors, "subprocess", forked)
            assert main(["compare", "--out", str(folder), "--users", "both", "--seeds", "2", *OPTIONS]) == 0

    return once("new-users", make)


def test_both_kinds_have_the_same_rows_and_all_users(both: Path) -> None:
    blocks = json.loads((both / "table.json").read_text("utf-8"))["tables"]
    assert [(block["mode"], block["new"]) for block in blocks] == [
        (mode, new) for new in (False, True) for mode in ("NX_0", "FB", "NX_10")
    ]
    for known, new in zip(blocks[:3], blocks[3:], strict=True):
        labels = [{row["label"] for row in block["rows"]} for block in (known, new)]
        assert labels[0] == labels[1]
        assert {row["users"] for block in (known, new) for row in block["rows"]} == {24}
        assert all(row["seeds"] == 1 and row["new"] for row in new["rows"])  # two groups make one row of all users
    assert "new users" in (both / "table.md").read_text("utf-8")


def test_a_list_serves_both_alike_and_the_truth_is_that_of_the_hidden_users(both: Path) -> None:
    found = [read_result(path.parent) for path in both.glob(f"cells/*/{RESULT}")]
    cells = {one.folder: json.loads((one.folder / "cell.json").read_text("utf-8"))["identity"] for one in found}
    trivial = [one for one in found if cells[one.folder]["kind"] == "trivial"]
    oracle = "oracle (truth), exit-aware|NX_0|1"
    known = next(one for one in trivial if not cells[one.folder]["config"]["split"]["hidden"]).returns[oracle]
    parts = [one.returns[oracle] for one in trivial if cells[one.folder]["config"]["split"]["hidden"]]
    assert [len(part) for part in parts] == [12, 12]
    assert sorted([*parts[0], *parts[1]]) == sorted(known)


def test_seeds_that_hide_groups_unequally_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--out", str(tmp_path), "--users", "new", "--seeds", "3", *OPTIONS]) == 2
    assert "3 seeds cannot hide 2 groups of users equally often; try 2" in capsys.readouterr().err.replace("\n", " ")
