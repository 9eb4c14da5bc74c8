"""The sentences of a verdict."""

from dataclasses import replace
from shlex import quote

import numpy as np
import pytest

from darlr.evaluation.evaluate import Row
from darlr.evaluation.verdict import Trust, verdict

USERS = 200
NOISE = np.random.default_rng(0).standard_normal((1, USERS))


def row(name: str, mean: float, kind: str = "log", sampled: bool = False) -> Row:
    """A row whose users differ by the same noise: paired differences are sure however small."""
    returns = mean + NOISE
    nothing = (mean, mean)
    return Row(
        *(name, kind, sampled, False, "NX_0", None, float(returns.mean()), nothing, mean, nothing, 30.0, mean / 30),
        *(0.5, None, 1, USERS, None, None),
        returns=returns,
    )


def serve(one: Row) -> str | None:
    """Describe the serving of a row as `darlr evaluate` does, for one run in runs/one."""
    if one.kind == "learned":
        return "the run folder runs/one is ready for that."
    return None if one.sampled else f"darlr export runs/one --row {quote(one.name)} --out FOLDER"


def blurred(one: Row, seed: int) -> Row:
    """The same row with noise of its own, so that it ties with its like."""
    noise = np.random.default_rng(seed).standard_normal((1, USERS))
    return replace(one, returns=one.returns + noise - noise.mean())


LEARNED, START, LIST = row("DARLR", 80.0, "learned"), row("DARLR, start", 78.0), row("item-mean list", 70.0)
ORACLE, RANDOM = row("oracle (truth)", 99.0, "truth"), row("random", 60.0, sampled=True)


def test_a_trained_policy_that_is_first_is_served():
    sentences = verdict([LEARNED, START, LIST, ORACLE, RANDOM], Trust("It was the truth."), serve)
    assert len(sentences) == 4
    assert sentences[0].startswith("The first row is DARLR with 80")
    assert "It is ahead of every other row but the references" in sentences[0]
    assert "beats its start by +2 [+2, +2]" in sentences[1]
    assert "beats the best simple list (item-mean list) by +10 [+10, +10]" in sentences[1]
    assert sentences[2] == "It was the truth."
    assert sentences[3] == "Serve DARLR, as it is first: the run folder runs/one is ready for that."
    assert not any(name in " ".join(sentences) for name in ("oracle", "random"))


def test_training_that_destroyed_a_start_is_reported():
    sentences = " ".join(verdict([row("DARLR", 75.0, "learned"), START, LIST], Trust(), serve))
    assert "The first row is DARLR, start" in sentences
    assert "DARLR as it would be served is worse than its start: -3 [-3, -3]" in sentences
    assert "--row 'DARLR, start'" in sentences


def test_the_simplest_of_those_that_tie_is_served():
    tied = blurred(row("popularity list", 79.95), 1)
    sentences = verdict([LEARNED, tied, row("world-model greedy", 70.0)], Trust(), serve)
    assert "popularity list ties with it" in sentences[0]
    assert "ties with the best simple list (popularity list)" in sentences[1]
    assert sentences[-1].startswith("Serve popularity list, as it is the simplest")
    assert sentences[-1].endswith("--row 'popularity list' --out FOLDER")


def test_a_start_that_is_handed_over_is_reported_as_the_start():
    sentences = verdict([row("DARLR", 78.0, "learned"), START, LIST], Trust(), serve)
    assert "DARLR as it would be served is its start" in sentences[1]


def test_nothing_is_served_where_the_evaluation_world_model_failed():
    sentences = verdict([LEARNED, START, LIST], Trust("The model fails its test.", believable=False), serve)
    assert sentences[0] == "The model fails its test."
    assert sentences[1].startswith("By these doubtful rewards the first row is DARLR with 80")
    assert sentences[-1].startswith("This table cannot choose a policy to serve")


@pytest.mark.parametrize("rows", [[row("DARLR", 5.0, "learned"), row("item-mean list", 5.0)]])
def test_rows_that_can_not_differ(rows: list[Row]):
    assert verdict(rows, Trust(), serve) == ["All rows earn the same, so this table cannot rank policies."]


def test_one_row_alone():
    assert verdict([LEARNED], Trust("Believed."), serve) == ["Believed."]


def test_a_random_policy_that_is_first_is_reported_and_not_served():
    sentences = verdict([LEARNED, LIST, row("random", 90.0, sampled=True)], Trust(), serve)
    assert sentences[0].startswith("The first row is random with 90")
    assert sentences[-1] == "There is nothing to serve: random is first."


def test_where_the_first_row_can_not_be_exported_the_best_that_can_is_served():
    sentences = verdict([LEARNED, LIST], Trust(), lambda one: None if one is LEARNED else serve(one))
    assert sentences[-1].startswith("Serve item-mean list, as it earns the most of the rows that can be exported (")


def test_a_sampled_twin_of_a_greedy_row_is_left_out():
    sentences = verdict([LEARNED, LIST, row("DARLR (sampled)", 90.0, "learned", sampled=True)], Trust(), serve)
    assert sentences[0].startswith("The first row is DARLR with 80")


def test_rows_of_unequal_numbers_of_seeds_are_compared():
    seeds = [replace(one, returns=np.repeat(one.returns, n, 0), seeds=n) for one, n in ((LEARNED, 3), (LIST, 2))]
    assert "beats the best simple list (item-mean list) by +10" in verdict(seeds, Trust(), serve)[1]
