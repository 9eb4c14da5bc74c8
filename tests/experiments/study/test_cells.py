"""What a cell is addressed by, options by name, studies, code digests, ties: no training."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from darlr.cli.dispatch import parse
from darlr.errors import ConfigError, RunError
from darlr.evaluation.evaluate import summarise
from darlr.evaluation.lists import Entry
from darlr.evaluation.playing import Played, Setting
from darlr.evaluation.result import Evaluation
from darlr.experiments.study import cells as code
from darlr.experiments.study.assemble import Line, ModeTable, first_and_second, ranked
from darlr.experiments.study.cells import RESULT, Cell, Result, find, read_cell, read_result
from darlr.experiments.study.grid import Variant, chosen, variants
from darlr.experiments.study.report import study, verdict
from darlr.io.checkpoint import write_checkpoint
from darlr.options import RunConfig
from darlr.options.names import command_line, override
from darlr.simulation.exits import never

CELL = Cell("learned", "mbpo", RunConfig(), 0, (1,), "log", "truth", code="0123456789ab")


def changed(**options) -> Cell:
    return replace(CELL, config=override(CELL.config, {k.replace("__", "."): v for k, v in options.items()}))


def test_the_address_is_stable_and_covers_what_counts():
    assert CELL.key == replace(CELL).key
    assert CELL.folder == f"{CELL.key}-01234567"
    others = [changed(reward__start="frozen"), changed(seed=1), changed(model__epochs=3), changed(split__seed=1)]
    others += [replace(CELL, data="x"), replace(CELL, truth="x"), replace(CELL, windows=(4,)), replace(CELL, name="x")]
    assert len({cell.key for cell in [CELL, *others]}) == 9
    named = replace(CELL, config=replace(CELL.config, label="mine", world="w", data="elsewhere"))
    assert named.key == CELL.key  # what a row is called, and where the same data lie


def test_other_kinds_ignore_what_they_do_not_read():
    world = replace(CELL, kind="world")
    assert replace(changed(epochs=9, reward__start="frozen"), kind="world").key == world.key
    assert replace(changed(model__epochs=3), kind="world").key != world.key
    trivial = replace(CELL, kind="trivial")
    assert replace(changed(epochs=9), kind="trivial").key == trivial.key
    assert replace(changed(tables__neighbours=3), kind="trivial").key != trivial.key


def test_older_code_is_reused_only_when_accepted(tmp_path: Path):
    place = CELL.write(tmp_path)
    (place / RESULT).write_bytes(b"")
    newer = replace(CELL, code="ffffffffffff")
    assert find(CELL, tmp_path) == place
    assert find(newer, tmp_path) is None
    assert find(newer, tmp_path, ["any"]) == place
    assert find(newer, tmp_path, ["0123"]) == place
    assert find(newer, tmp_path, ["4567"]) is None
    assert find(replace(changed(reward__start="frozen"), code="ffffffffffff"), tmp_path, ["any"]) is None
    text = (place / "cell.json").read_text("utf-8")  # as if written before an option existed
    line = next(line for line in text.splitlines() if '"minimum_gain"' in line)
    (place / "cell.json").write_text(text.replace(line + "\n", ""), "utf-8")
    assert find(newer, tmp_path, ["any"]) == place


def test_the_error_of_a_damaged_cell_advises_to_delete_the_cell(tmp_path: Path):
    place = CELL.write(tmp_path)
    write_checkpoint(place / RESULT, {}, {})
    assert read_result(place).about == {}
    (place / RESULT).write_bytes(b"short")
    with pytest.raises(RunError, match=rf"damaged .*delete the folder {place}, a cell, and run the comparison again"):
        read_result(place)
    for text in ("{", "[]", '{"schema": 0}'):
        (place / "cell.json").write_text(text)
        with pytest.raises(RunError, match=rf"damaged.*delete the folder {place}, a cell, and run the comparison"):
            read_cell(place)


def test_digest_follows_meaning(tmp_path: Path):
    package = tmp_path / "darlr"
    shutil.copytree(code.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    kinds = ("world", "learned", "baseline", "trivial")

    def digests() -> dict[str, str]:
        code.digest.cache_clear()
        return {kind: code.digest(kind, package) for kind in kinds}

    def after(name: str, text: str) -> set[str]:
        before = digests()
        path = package / name
        path.write_text(path.read_text("utf-8") + text, "utf-8")
        now = digests()
        return {kind for kind in kinds if now[kind] != before[kind]}

    assert after("agents/learner.py", "\n# a comment\n\n\n'text'\n") == set()
    assert after("agents/learner.py", "\nMORE = 1\n") == {"learned"}
    assert after("world/fit.py", "\nMORE = 1\n") == set(kinds)
    assert after("policies/registry.py", "\nMORE = 1\n") == {"baseline"}
    assert after("evaluation/protocol.py", "\nMORE = 1\n") == {"learned", "baseline", "trivial"}
    assert after("evaluation/pictures/bars.py", "\nMORE = 1\n") == set()
    assert after("experiments/study/report.py", "\nMORE = 1\n") == set()
    assert after("options/training.py", "\nMORE = 1\n") == set()
    code.digest.cache_clear()


def test_files_that_do_not_count_exist():
    listed = {*code.NEUTRAL, code.WORKER, *(name for names in code.UNTOUCHED.values() for name in names)}
    assert [name for name in listed if not (code.PACKAGE / name).exists()] == []


def test_commands_say_what_the_configuration_says():
    options = {
        "method": "roler",
        "model.hidden": (8, 9),
        "recommender.user-in-state": False,
        "session.repeats": True,
        "split.seed": 3,
        "reward.lambda-u": 0.25,
    }
    config = override(RunConfig(), options)
    words = command_line(config, Path("out")).split()[1:]
    assert parse(words).config == config
    with pytest.raises(ConfigError, match=r"no option is called reward\.lambda-v; perhaps you meant 'reward\.lambda-"):
        override(config, {"reward.lambda-v": 1.0})


@pytest.mark.parametrize("study", ["table", "ablations", "sensitivity", "sparsity"])
def test_every_study_has_options_that_exist_and_differ(study):
    base = RunConfig()
    rows = variants(study, "all", base)
    assert len({row.label for row in rows}) >= len(rows) - 4  # the default is in every panel of the sensitivity
    for row in rows:
        config = override(base, row.options)
        assert (config == base) == (not row.options)
        assert row.base or row.options or study in ("table", "sensitivity")


def test_groups_of_methods():
    assert chosen("darlr+, mbpo,mbpo") == ["darlr+", "mbpo"]
    assert chosen("learned")[:3] == ["mbpo", "mopo", "ips"]
    assert set(chosen("all")) == {*chosen("learned"), *chosen("baselines"), "trivial"}


def line(name: str, returns: list[list[float]], kind="learned", base=False) -> Line:
    measured = {"R_tra": 0.0, "Length": 2.0, "R_each": 0.0, "CV": 0.1, "MCD": None}
    played = [Played(np.array(seed), measured) for seed in returns]
    row = summarise(Entry(name, (), kind), Setting("NX_0", None, never), played)
    facts = {"cpu_seconds": 1.0, "steps": 10, "command": "darlr train", "code": "c", "curve": []}
    return Line(row, Variant(name, "darlr", base=base), [Result(Path(name), {}, facts)] * 2)


def test_ties_and_pairs_by_hand():
    first = line("first", [[3.0, 1.0, 4.0, 2.0], [3.0, 1.0, 4.0, 2.0]], base=True)
    tied = line("tied", [[2.0, 2.0, 3.0, 2.0], [2.0, 2.0, 3.0, 2.0]])  # better for one user, worse for two
    behind = line("behind", [[2.5, 0.5, 3.5, 1.5], [2.5, 0.5, 3.5, 1.5]])  # half a point below for everybody
    truth = line("oracle", [[9.0, 9.0, 9.0, 9.0]], kind="truth")
    found = ranked([behind, tied, truth, first])
    assert [one.row.name for one in found] == ["oracle", "first", "tied", "behind"]
    assert [one.best for one in found] == [False, True, False, False]
    assert [one.tied for one in found] == [None, True, True, False]
    assert found[3].to_best.difference == 0.5
    assert (found[3].to_best.low, found[3].to_best.high) == (0.5, 0.5)
    assert found[3].to_base.difference == -0.5
    assert found[2].to_best.difference == pytest.approx(0.25)
    assert found[1].to_base is None
    block = ModeTable("NX_0", None, found)
    pair = first_and_second(block)
    assert [one.row.name for one in pair] == ["first", "tied"]
    said = verdict(block)
    assert said.startswith("first is tied with tied: +0.25 [")
    assert "better for 62% of users" in said  # two of four, and the equal one counts half
    text = study("Title", [block], {"seeds": 2}).markdown()
    assert "| **tied** |" in text
    assert "| behind |" in text
    assert "| oracle † | 9.00 [9.00, 9.00] |" in text
    assert "+0.50 [+0.50, +0.50] | -0.50 [-0.50, -0.50] |" in text
    assert verdict(ModeTable("NX_0", None, ranked([first, truth]))) == ""


def test_the_result_of_a_comparison_is_an_evaluation(tmp_path: Path):
    first, other = line("first", [[3.0, 1.0, 4.0, 2.0]] * 2), line("other", [[2.0, 1.0, 3.0, 1.0]] * 2)
    table = ModeTable("NX_0", None, ranked([other, first]))
    found = study("Title", [table], {"data": "log"})
    assert isinstance(found, Evaluation)
    assert found.rows.select("name", "mean", "trained_window", "tied").rows() == [
        ("first", 2.5, None, True),
        ("other", 1.75, None, False),
    ]
    assert found.comparisons["pair"].to_list() == ["first - other"]
    assert found.comparisons["difference"].to_list() == [0.75]
    assert "first is ahead of other: +0.75" in str(found)
    found.save(tmp_path, pictures=False)
    assert (tmp_path / "table.md").read_text("utf-8") == found.markdown()
    assert json.loads((tmp_path / "table.json").read_text("utf-8"))["tables"][0]["rows"][0]["label"] == "first"


def test_a_row_is_not_compared_with_its_own_start_or_twin():
    first = line("DARLR+", [[3.0, 1.0, 4.0, 2.0]] * 2)
    start = line("DARLR+, start", [[3.0, 1.0, 4.0, 2.0]] * 2, kind="log")
    other = line("MBPO", [[2.0, 1.0, 3.0, 1.0]] * 2)
    pair = first_and_second(ModeTable("NX_0", None, ranked([start, other, first])))
    assert [one.row.name for one in pair] in (["DARLR+", "MBPO"], ["DARLR+, start", "MBPO"])
