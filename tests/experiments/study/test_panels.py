"""Pictures of DARLR's parts and weights are drawn from rows with and without a difference to DARLR."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from darlr.evaluation.evaluate import summarise
from darlr.evaluation.lists import Entry
from darlr.evaluation.pictures import canvas
from darlr.evaluation.playing import Played, Setting
from darlr.experiments.study import panels, pictures
from darlr.experiments.study.assemble import Line, ranked
from darlr.experiments.study.grid import Variant, ablations, sensitivity
from darlr.simulation.exits import never

pytest.importorskip("matplotlib")
DEFAULTS = {
    "selector.picks": 10,
    "selector.lambda-s": 5.0,
    "selector.lambda-d": 0.1,
    "reward.lambda-u": 0.1,
    "reward.lambda-e": 0.1,
}


def lines(variants: list[Variant], generator: np.random.Generator) -> list[Line]:
    measured = {"R_tra": 0.0, "Length": 2.0, "R_each": 0.0, "CV": 0.1, "MCD": None}
    found = []
    for variant in variants:
        for greedy in (True, False):
            entry = Entry(variant.label, (), "learned", greedy)
            row = summarise(entry, Setting("NX_0", None, never), [Played(generator.normal(5, 1, 8), measured)] * 2)
            found.append(Line(row, variant, []))
    return ranked(found)


def test_parts_are_drawn_as_differences_to_the_base(tmp_path: Path) -> None:
    canvas.save(panels.ablations(lines(ablations(), np.random.default_rng(0)), "parts"), tmp_path / "parts.png")
    assert (tmp_path / "parts.png").stat().st_size > 10_000


def test_weights_are_drawn_in_the_order_of_the_study(tmp_path: Path) -> None:
    rows = lines(sensitivity(DEFAULTS), np.random.default_rng(0))
    assert list(panels._groups(rows)) == ["K_sel", "lambda_s", "lambda_d", "lambda_U", "lambda_E"]
    assert [line.variant.value for line in panels._groups(rows)["lambda_s"]] == [0.5, 1.0, 2.0, 5.0]
    canvas.save(panels.sensitivity(rows, "weights"), tmp_path / "weights.png")
    assert (tmp_path / "weights.png").stat().st_size > 10_000


def test_two_measures_are_drawn_where_there_are_two(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    known = [line for line in lines(ablations(), generator) if not line.row.sampled]
    told = [replace(line, row=replace(line.row, random=generator.normal(9, 1))) for line in known]
    assert "random" not in pictures._of_table(known, "world")
    drawn = pictures._of_table(told, "world")
    assert "length" not in drawn  # all sessions alike
    canvas.save(drawn["random"](), tmp_path / "random.png")
    assert (tmp_path / "random.png").stat().st_size > 10_000
    longer = [replace(line, row=replace(line.row, length=line.row.length + place)) for place, line in enumerate(told)]
    canvas.save(pictures._of_table(longer, "world")["length"](), tmp_path / "length.png")
    assert (tmp_path / "length.png").stat().st_size > 10_000


def test_points_near_each_other_share_a_column_of_numbers() -> None:
    assert pictures._columns(np.array([3.0, 1.0, 1.5, 5.0, 3.4]), 0.5) == [[1, 2], [0, 4], [3]]
