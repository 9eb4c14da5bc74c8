"""Logged decisions are repeated bit for bit, and other policies are judged by them as the truth says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import darlr
from darlr.cli.main import main
from darlr.decisions.log import DecisionLog
from darlr.decisions.read import read_log
from darlr.errors import ConfigError, DataError
from darlr.options import StrategyConfig
from darlr.serving.chances import along
from darlr.serving.folder import read_policy
from darlr.serving.policy import TrainedPolicy
from darlr.serving.replay import replay
from darlr.serving.strategy import choose
from tests.serving.tiny import ITEMS, POLICIES, USERS

TRUE = np.random.default_rng(2).uniform(1, 5, (USERS + 1, ITEMS))  # the last row is that of new users
ASKED = 600


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from(["greedy", "sample", "explore"]), st.integers(1, 5))
def test_propensities_along_a_list_are_those_of_the_draw(seed: int, strategy: str, ranks: int) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(4, 6)).round(1).astype(np.float32)  # with ties
    allowed = draw.random((4, 6)) < 0.7
    allowed[:, 0] = True
    values, config = draw.normal(size=(4, 6)).astype(np.float32), StrategyConfig(strategy, 0.3)  # type: ignore[arg-type]
    found = choose(scores, allowed, ranks, config, draw.integers(0, 2**63, 4).astype(np.uint64))
    there = np.arange(found.codes.shape[1]) < found.counts[:, None]
    codes = np.where(there, found.codes, -1)
    chances, expected = along(scores, allowed, codes, config, values)
    np.testing.assert_allclose(chances[there], found.propensities[there], rtol=1e-12)
    assert not chances[~there].any()
    for k in range(codes.shape[1]):  # the expectation, from the propensity of every item in place of the k-th
        whole = np.zeros(4)
        for item in range(6):
            other = codes.copy()
            other[:, k] = item
            whole += along(scores, allowed, other, config, values)[0][:, k] * values[:, item]
        np.testing.assert_allclose(expected[:, k], np.where(there[:, k], whole, expected[:, k]), rtol=1e-6, atol=1e-7)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run `shop`, another run `table`, and the log of `shop` with feedback by the true rewards."""
    folder = tmp_path_factory.mktemp("served")
    POLICIES["learned, prior and belief"](folder / "shop" / "policy")
    POLICIES["table of neighbours"](folder / "table" / "policy")
    policy = read_policy(folder / "shop")
    draw = np.random.default_rng(0)
    rows = draw.integers(USERS + 2, size=ASKED)
    users = [f"u{row}" if row < USERS else f"stranger {place}" for place, row in enumerate(rows)]
    history = {user: [(int(item), 3.0)] for user, item in zip(users, draw.integers(ITEMS, size=ASKED), strict=True)}
    with DecisionLog(folder / "log") as log:
        names = [f"r{place}" for place in range(ASKED)]
        options = {"exclude": [1], "only": {"u1": list(range(10))}, "history": history, "log": log}
        shown = policy.recommend(users, 2, strategy="explore", epsilon=0.6, request_id=names, arm="shop", **options)
        policy.recommend("u1", 2, log=log, arm="control")  # greedy, under a name that is made up
        for place, item in enumerate(shown["item"]):
            row = min(rows[place // 2], USERS)
            log.feedback(names[place // 2], item, float(np.clip(TRUE[row, item] + draw.normal() * 0.3, 1, 5)))
    return folder


def test_every_decision_is_repeated_bit_for_bit(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, log = read_policy(served / "shop"), read_log(served / "log")
    (found,) = darlr.replay(served / "log", policy)
    assert (found.decisions, found.mismatches, found.others) == (ASKED + 1, 0, 0)
    assert main(["replay", str(served / "shop"), str(served / "table"), "--decisions", str(served / "log")]) == 0
    assert f"all {ASKED + 1} decisions were repeated bit for bit" in capsys.readouterr().err
    assert main(["replay", str(served / "table"), "--decisions", str(served / "log")]) == 1
    said = capsys.readouterr().err
    assert "none of its decisions is of a version" in said
    assert "none of the decisions is of this version; 601 decisions are of other versions" in said
    assert "repeated" not in said
    sets = dict(log.candidates.iter_rows())
    ulp = pl.col("propensities").list.eval(pl.element() * (1 + 2**-52))
    first = pl.col("request_id") == "r7"
    for change in (
        pl.when(first).then(ulp).otherwise("propensities").alias("propensities"),
        pl.when(first).then(pl.col("items").list.reverse()).otherwise("items").alias("items"),
        pl.when(first).then(pl.lit(1, pl.UInt64)).otherwise("seed").alias("seed"),
    ):
        found = replay(policy, log.decisions.with_columns(change), sets)
        assert (found.mismatches, found.first) == (1, "r7")
    assert "1 of 601 decisions came out otherwise, first 'r7'" in str(found)


def truth(policy: TrainedPolicy, log: pl.DataFrame) -> float:
    """The true mean reward of what the policy shows greedily to the users who were asked."""
    rows = log.filter(strategy="explore").rows(named=True)
    history = {row["user"]: list(zip(row["history_items"], row["history_rewards"], strict=True)) for row in rows}
    users = [row["user"] for row in rows]
    found = policy.recommend(users, 2, history=history, exclude=[1], only={"u1": list(range(10))})
    names = [USERS if user.startswith("s") else int(user[1:]) for user in found["user"]]
    return float(TRUE[names, found["item"].to_list()].mean())


def test_a_policy_is_worth_what_the_truth_says(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = read_policy(served / "shop")
    found = darlr.evaluate_decisions(served / "log", [policy, read_policy(served / "table")])
    value = truth(policy, read_log(served / "log").decisions)
    first, both, other, deep = (one.value for one in found.candidates)
    assert first is not None
    assert both is not None
    assert (first.ranks, both.ranks, both.decisions) == (1, 2, ASKED)
    for estimate in (both.dr, both.snips):
        assert estimate is not None
        assert estimate.low <= value <= estimate.high
        assert estimate.high - estimate.low < 0.9
    assert other is not None
    assert deep is not None
    assert deep.refused is not None
    assert "the log rarely shows what the policy would show" in deep.refused
    assert "601 decisions were repeated bit for bit" in str(found)
    assert [one.arm for one in found.arms] == ["shop"]  # control has no feedback

    out = tmp_path / "out"
    words = ["evaluate", str(served / "shop"), "--decisions", str(served / "log"), "--out", str(out), "--ranks", "1"]
    assert main([*words, "--no-pictures"]) == 0
    said = capsys.readouterr().out
    assert "shop, greedy (first rank)" in said
    saved = json.loads((out / "decisions.json").read_text("utf-8"))
    assert saved["candidates"][0]["value"]["dr"] == pytest.approx(vars(first.dr))
    assert "What policies would be worth" in (out / "decisions.md").read_text("utf-8")
    assert found.frame["dr"][1] == both.dr.value  # type: ignore[union-attr]


def test_greedy_decisions_say_nothing_about_others(tmp_path: Path, served: Path) -> None:
    policy = read_policy(served / "shop")
    with DecisionLog(tmp_path / "log") as log:
        for user in range(4):
            policy.recommend(f"u{user}", 2, request_id=f"r{user}", log=log)
            with pytest.raises(DataError, match="no item that was shown has feedback"):
                log.flush() or darlr.evaluate_decisions(tmp_path / "log", policy)
        log.feedback("r1", log_item(tmp_path / "log"), 3.0)
        log.flush()
        found = darlr.evaluate_decisions(tmp_path / "log", policy)
        assert found.whole.value.value == 3.0
        assert "all decisions were greedy" in str(found.candidates[0].refused)
        with pytest.raises(ConfigError, match="a log needs one of its own for each user"):
            policy.recommend(["u1", "u2"], 2, strategy="sample", request_id="r", log=log)
        with pytest.raises(ConfigError, match="option models"):
            darlr.evaluate_decisions(tmp_path / "log", ["shop"])  # type: ignore[list-item]
    strange = replace(policy, items=replace(policy.items, ids=tuple(range(100, 100 + ITEMS))))
    with pytest.raises(DataError, match="its catalogue has none of the items that were shown"):
        darlr.evaluate_decisions(served / "log", strange)


def log_item(folder: Path) -> str:
    found: str = read_log(folder).decisions.filter(request_id="r1")["items"][0][0]
    return found


def test_a_picture_of_the_values(served: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    darlr.evaluate_decisions(served / "log", read_policy(served / "shop"), ranks=1).save(tmp_path)
    assert (tmp_path / "decisions.png").stat().st_size > 10_000
