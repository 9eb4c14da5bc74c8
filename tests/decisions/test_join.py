"""Feedback that is late, repeated, orphaned or missing, by hand, and the data set that decisions make."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import darlr
from darlr.cli.main import main
from darlr.data.store import load
from darlr.decisions.join import flat, join, open_decisions, read_decisions
from darlr.decisions.log import DecisionLog
from darlr.decisions.records import (
    Decision,
    Frames,
    Reward,
    line_of_candidates,
    line_of_decision,
    line_of_reward,
    parsed,
)
from darlr.errors import ConfigError, DataError
from darlr.options import FeedbackConfig
from tests.decisions.test_decision_log import NOW, ONE


def shows(name: str, items: str = "abc", **changes: Any) -> Decision:
    chances = (0.5, 0.25, 1.0)[: len(items)]
    return replace(ONE, request_id=name, items=tuple(items), propensities=chances, **changes)


def event(name: str, item: str, reward: float, hours: float = 1.0) -> Reward:
    return Reward(name, item, reward, NOW + timedelta(hours=hours))


def frames(*records: Decision | Reward) -> Frames:
    lines = [line_of_reward(one) if isinstance(one, Reward) else line_of_decision(one, None) for one in records]
    return parsed(b"".join(lines).decode())


RECORDS = (
    shows("1"),
    shows("2", "ba", user=None),
    shows("2", "ca"),  # its name was used before
    shows("3", ""),
    event("1", "b", 4),
    event("1", "b", 4),  # a copy
    event("1", "b", 2, 3),  # later
    event("1", "b", 3, 2),
    event("1", "c", 5, 200),  # late
    event("1", "a", 5, -1),  # before it was shown
    event("2", "a", 1, -0.01),  # a clock that differs
    event("2", "c", 1),  # orphaned: not shown there
    event("9", "a", 1),  # orphaned: no such decision
)


def test_every_rule_and_its_count() -> None:
    found = join(frames(*RECORDS), FeedbackConfig())
    assert found.decisions["rewards"].to_list() == [[None, 2.0, None], [None, 1.0], []]
    assert found.notes == (
        "3 decisions that showed 5 items; 1 repeated a request id and were left out",
        "9 events of feedback, of which 2 count; left out: 1 copies of other feedback; 1 orphaned, of requests that "
        "are not in the log; 1 orphaned, of items that their decision did not show; 1 dated before their decision; "
        "1 late, more than 168 hours after their decision; 2 repeated, where the last reward counts",
        "3 of 5 shown items have no feedback and are left out",
    )
    for rule, reward in (("first", 4.0), ("highest", 4.0)):
        config = FeedbackConfig(repeated=rule, missing_reward=0, within=1000)  # type: ignore[arg-type]
        found = join(frames(*RECORDS), config)
        assert found.decisions["rewards"].to_list() == [[0.0, reward, 5.0], [0.0, 1.0], []]
    assert "have the reward 0" in found.notes[2]
    assert "3 decisions are younger than 1000 hours" in found.notes[3]
    with pytest.raises(DataError, match="there is no decision"):
        join(frames(RECORDS[4]), FeedbackConfig())
    for wrong in ({"within": 0.0}, {"missing_reward": float("inf")}):
        with pytest.raises(ConfigError):
            FeedbackConfig(**wrong)


def test_rows_have_ranks_and_propensities() -> None:
    rows = flat(join(frames(*RECORDS), FeedbackConfig(missing_reward=0)))
    first = ["user", "item", "rank", "propensity", "propensity_so_far", "reward"]
    assert rows.select(first).rows() == [
        ("u1", "a", 1, 0.5, 0.5, 0.0),
        ("u1", "b", 2, 0.25, 0.125, 2.0),
        ("u1", "c", 3, 1.0, 0.125, 0.0),
        ("new:2", "b", 1, 0.5, 0.5, 0.0),
        ("new:2", "a", 2, 0.25, 0.125, 1.0),
    ]


def written(folder: Path, records: tuple[Decision | Reward, ...] = RECORDS) -> Path:
    with DecisionLog(folder) as log:
        for one in records:
            log.rewarded([one]) if isinstance(one, Reward) else log.decided(one)
    return folder


def test_a_log_becomes_a_data_set_with_propensities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, out = written(tmp_path / "log"), tmp_path / "data"
    (tmp_path / "items.csv").write_text("item,genre\na,x\nb,y\nz,x\n", "utf-8")
    words = ["data", "prepare", "decisions", str(log), "--out", str(out), "--missing-reward", "0", "--obp"]
    assert main([*words, "--items", str(tmp_path / "items.csv"), "--category", "genre"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "9 events of feedback, of which 2 count" in said
    data = load(out)
    assert (len(data), data.user_ids, data.item_ids) == (5, ("new:2", "u1"), ("a", "b", "c", "z"))
    assert data.propensity is not None
    assert data.frame().filter(item="b")["propensity"].to_list() == [0.25, 0.5]
    assert (data.name, data.category) == ("log", "genre")
    obp = pl.read_parquet(out / "obp.parquet")
    assert obp.columns[3:] == ["action", "position", "reward", "pscore", "pscore_cascade"]
    assert obp.rows()[1][3:] == ("b", 1, 2.0, 0.25, 0.125)
    assert obp.equals(read_decisions(log, missing_reward=0, columns="obp"))
    kept = open_decisions(out, FeedbackConfig())  # its own rules are kept
    assert kept.decisions["rewards"].to_list() == [[0.0, 2.0, 0.0], [0.0, 1.0], []]
    assert kept.notes[0].startswith("3 decisions")
    events = darlr.read_events(read_decisions(log, missing_reward=0), timestamp="time", propensity="propensity")
    assert (events.propensity == data.propensity).all()
    assert "decisions" not in json.loads((out / "dataset.json").read_text("utf-8"))


def test_what_a_person_should_know_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    greedy = (shows("1", strategy="greedy"), shows("2", user="u2"), event("1", "b", 1), event("2", "a", 1))
    main(["data", "prepare", "decisions", str(written(tmp_path / "one", greedy)), "--out", str(tmp_path / "a")])
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 decisions were greedy; their propensities are 1" in said
    assert "every reward is 1; if no feedback is a reward of 0, say so (option missing-reward)" in said
    never = tuple(replace(one, epsilon=0.0) if isinstance(one, Decision) else one for one in greedy)
    main(["data", "prepare", "decisions", str(written(tmp_path / "two", never)), "--out", str(tmp_path / "b")])
    assert "all decisions were greedy, so the data set has no propensities" in " ".join(capsys.readouterr().out.split())
    assert load(tmp_path / "b").propensity is None
    silent = written(tmp_path / "three", (shows("1"),))
    assert main(["data", "prepare", "decisions", str(silent), "--out", str(tmp_path / "c")]) == 1
    assert "no item that was shown has feedback" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
    assert main(["data", "prepare", "decisions", str(tmp_path), "--out", str(tmp_path / "c")]) == 1
    assert "no log of decisions here" in capsys.readouterr().err
    wide = f"data prepare decisions {tmp_path / 'one'} --out {tmp_path / 'c'} --reward-range 2 5"
    assert main(wide.split()) == 1
    assert f"{tmp_path / 'one'}, row 0, column 'reward': reward 1 must be" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="option columns"):
        read_decisions(silent, columns="pandas")  # type: ignore[arg-type]
    assert line_of_candidates("x", (1,))
