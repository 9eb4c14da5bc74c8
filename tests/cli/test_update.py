"""`darlr update`: a run goes on from new events, is judged on the newest of them, and survives a kill."""

import json
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from darlr.cli.main import main
from darlr.data.sets.synthetic import generate
from darlr.experiments.finished import open_run
from darlr.options import SyntheticConfig
from tests import forked
from tests.cli.conftest import AGENTS, MODEL
from tests.cli.test_resume import KILLED, left

SMALL = SyntheticConfig(users=24, items=16, categories=4, events_per_user=12)
COLUMNS = ["--user", "uid", "--item", "sku", "--reward", "stars", "--timestamp", "ts"]


def events() -> pl.DataFrame:
    """A log of a tiny world in order of its times, which mix the users."""
    log = generate(SMALL).log
    frame = log.frame().rename({"user": "uid", "item": "sku", "reward": "stars"})
    return frame.with_columns(ts=np.random.default_rng(0).permutation(len(log))).drop("timestamp").sort("ts")


def make_shop(folder: Path) -> None:
    """A run on the first events, and a file with the later ones, five old ones, and a new user and item."""
    folder.mkdir()
    found = events()
    old, late = found[:200], found[195:]
    more = late[:4].with_columns(uid=pl.lit(99).cast(pl.Int64), sku=pl.Series([3, 5, 77, 77]), ts=pl.col("ts") + 1000)
    old.write_csv(folder / "old.csv")
    pl.concat([late, more]).write_csv(folder / "new.csv")
    table = ["--log", str(folder / "old.csv"), *COLUMNS, "--reward-range", "1", "5", "--out", str(folder / "data")]
    assert main(["data", "prepare", "table", *table]) == 0
    words = f"{MODEL} {AGENTS}".split()
    run = ["--data", str(folder / "data"), "--out", str(folder / "run"), "--method", "darlr+", *words]
    assert main(["train", *run]) == 0
    assert main(["update", str(folder / "run"), "--log", str(folder / "new.csv"), "--out", str(folder / "next")]) in (
        0,
        3,
    )


@pytest.fixture(scope="session")
def shop(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A run and its update; tests only read them."""
    return once("shop", make_shop)


def test_an_update_is_a_run_that_knows_old_and_new(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = open_run(shop / "run"), open_run(shop / "next")
    assert after.logs.whole.user_ids[: before.logs.whole.n_users] == before.logs.whole.user_ids
    assert after.logs.whole.item_ids[-1] == 77
    about = json.loads((shop / "next" / "update.json").read_text())
    assert about["parent"]["label"] == after.config.label == before.config.label == "DARLR+"
    assert about["events"]["dropped"][0]["count"] == 5  # events that the run knows already
    gate = pl.read_parquet(shop / "next" / "gate" / "interactions.parquet")
    learned = pl.read_parquet(shop / "next" / "data" / "interactions.parquet")
    assert len(learned) + len(gate) == 200 + about["events"]["rows_kept"]
    assert gate["timestamp"].min() > learned["timestamp"].max()  # type: ignore[operator]
    assert main(["recommend", str(shop / "next"), "--user", "99", "--count", "3", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_the_check_of_newer_events_is_read_by_machines(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "check", str(shop / "new.csv"), "--against", str(shop / "run"), "--json"]
    capsys.readouterr()
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["events"], found["alarm"]) == (68, False)
    assert [one["ids"] for one in found["unknown"]] == [1, 1]
    assert [one["level"] for one in found["findings"]] == ["note"]  # too few events to judge predictions


def test_what_was_kept_from_training_stays_kept(shop: Path) -> None:
    before, after = (open_run(shop / name).logs for name in ("run", "next"))
    assert before.kept is not None
    assert after.kept is not None
    kept = {(u, i) for u, i in zip(before.kept.user.tolist(), before.kept.item.tolist(), strict=True)}
    trained = {(u, i) for u, i in zip(after.whole.user.tolist(), after.whole.item.tolist(), strict=True)}
    assert not kept & trained
    assert len(after.kept) > len(before.kept)
    assert np.array_equal(after.whole.reward[: len(before.whole)], before.whole.reward)  # one unit of learning


def without_places(folder: Path) -> dict[str, object]:
    """What an update leaves, apart from the paths of its log and its parent."""
    files: dict[str, object] = {**left(folder)}
    config, about = (json.loads((folder / name).read_text()) for name in ("config.json", "update.json"))
    del config["config"]["data"], about["parent"]["run"]
    return files | {"config.json": config, "update.json": about}


@pytest.mark.skipif(sys.platform == "win32", reason="kills processes with signals")
@pytest.mark.parametrize(
    ("place", "call"),
    [
        ("darlr.world.models.trainer.Trainer.epoch", 2),  # in the fit of the world model
        ("darlr.agents.train.learn", 1),  # after the first checkpoint, which holds what the parent knew
    ],
)
def test_a_killed_update_continues_bit_for_bit(tmp_path: Path, shop: Path, place: str, call: int) -> None:
    words = ["update", str(shop / "run"), "--log", str(shop / "new.csv"), "--out", str(tmp_path / "next")]
    answer = forked.run(KILLED, place, call, *words)
    assert answer.returncode == -signal.SIGKILL, answer.stderr
    assert main([*words, "--resume"]) in (0, 3)
    assert without_places(tmp_path / "next") == without_places(shop / "next")


def test_what_does_not_fit_is_refused(tmp_path: Path, shop: Path, refused: Callable[..., str]) -> None:
    new = pl.read_csv(shop / "new.csv")
    out = tmp_path / "out"

    def said(frame: pl.DataFrame, *more: object, code: int = 1) -> str:
        frame.write_csv(tmp_path / "bad.csv")
        return refused("update", shop / "run", "--log", tmp_path / "bad.csv", "--out", out, *more, code=code)

    assert "no column 'stars'" in said(new.rename({"stars": "points"}))
    assert "reward 20 must be from 1 to 5" in said(new.with_columns(stars=pl.col("stars") * 20))
    assert "no event is new" in said(events()[:100])
    new[:, ["sku"]].unique().with_columns(colour=pl.lit("red")).write_csv(tmp_path / "items.csv")
    assert "features of items are not those" in said(new, "--items", tmp_path / "items.csv")
    assert "option --gate: must be above 0" in said(new, "--gate", "1", code=2)
    assert not out.exists()


def test_an_update_goes_on_with_the_same_events_only(tmp_path: Path, shop: Path, refused: Callable[..., str]) -> None:
    shutil.copytree(shop / "next", tmp_path / "next")
    words = ["update", shop / "run", "--log", shop / "new.csv", "--out", tmp_path / "next"]
    assert "holds a run already" in refused(*words)
    assert "input update was" in refused(*words, "--resume", "--replay", "2")
