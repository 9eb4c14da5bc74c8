"""The Open Bandit check on a small folder of its layout, drawn from known click rates."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.open_bandit import checks, main, read_log, shares
from darlr.errors import DataError
from darlr.evaluation.held_out import Interval

ITEMS, POSITIONS, EVENTS = 6, 3, 6000
RATES = np.linspace(0.05, 0.5, ITEMS)
BTS = np.array([np.roll([0.05, 0.05, 0.1, 0.1, 0.3, 0.4], -place) for place in range(POSITIONS)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One campaign, both policies."""
    root, draw = tmp_path_factory.mktemp("open") / "obd", np.random.default_rng(1)
    for name, policy in (("random", np.full((POSITIONS, ITEMS), 1 / ITEMS)), ("bts", BTS)):
        position = draw.integers(POSITIONS, size=EVENTS)
        item = (draw.random(EVENTS)[:, None] > policy[position].cumsum(1)[:, :-1]).sum(1)
        columns = {
            "": np.arange(EVENTS),
            "timestamp": ["2019-11-24 00:00:00+00:00"] * EVENTS,
            "item_id": item,
            "position": position + 1,
            "click": (draw.random(EVENTS) < RATES[item]).astype(int),
            "propensity_score": policy[position, item],
            **{f"user_feature_{place}": draw.choice(["a1", "b2", "c3"], EVENTS) for place in range(4)},
            "user-item_affinity_0": np.zeros(EVENTS),
        }
        (root / name / "men").mkdir(parents=True)
        pl.DataFrame(columns).write_csv(root / name / "men" / "men.csv")
    return root


def near(found: Interval, truth: float) -> None:
    assert abs(found.value - truth) < found.high - found.low  # 4 standard errors


def test_each_policy_is_found_from_the_others_log(folder: Path) -> None:
    found = {check.policy: check for check in checks(folder, clip=None, resamples=300)}
    truth = {"bts": float((BTS @ RATES).mean()), "random": float(RATES.mean())}
    assert found.keys() == truth.keys()
    for policy, check in found.items():
        one = check.estimate
        near(check.actual, truth[policy])
        assert one.dr is not None
        assert one.snips is not None
        assert one.support.value == pytest.approx(1, abs=0.05)
        for value in (one.dr, one.snips):
            near(value, truth[policy])
            assert value.high - value.low < 0.04
        assert one.users == 81


def test_a_log_is_read_as_it_is(folder: Path) -> None:
    log = read_log(folder, "bts", "men")
    assert set(log.position) == {0, 1, 2}
    assert shares(log, POSITIONS, ITEMS) == pytest.approx(BTS, abs=0.04)


def test_the_table_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(folder), "--clip", "2"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("| campaign | policy | its own log | DR |")
    assert [line.split("|")[2].strip() for line in said[2:4]] == ["bts", "random"]


def test_a_folder_of_something_else(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(tmp_path)]) == 1
    assert "no campaign in random/" in capsys.readouterr().err
    (tmp_path / "random" / "men").mkdir(parents=True)
    with pytest.raises(DataError, match="file not found; --folder must name obd/"):
        checks(tmp_path, clip=None)
    frame = pl.read_csv(folder / "random" / "men" / "men.csv")
    path = tmp_path / "random" / "men" / "men.csv"
    for broken, message in (
        (frame.drop("click"), "no column 'click'"),
        (
            frame.with_columns(propensity_score=pl.lit(0.0)),
            "row 2, column 'propensity_score': 0.0 is not a probability",
        ),
        (frame.with_columns(item_id=pl.lit(None)), "an empty cell"),
        (frame.with_columns(click=pl.lit("no")), "is not a number"),
        (frame.with_columns(item_id=pl.lit(-1)), "'item_id': -1 is not a code"),
    ):
        broken.write_csv(path)
        with pytest.raises(DataError, match=message):
            read_log(tmp_path, "random", "men")
