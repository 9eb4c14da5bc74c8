"""Sections tell whether the evaluation world model passes its test, and why an estimate is refused."""

from dataclasses import replace

import numpy as np
import pytest

from darlr.evaluation.held_out import Interval
from darlr.evaluation.off_policy import Bandit, off_policy
from darlr.evaluation.sections import Known, failures, held_out_section, off_policy_section


def sums_of(pairs):
    values = np.asarray(pairs, dtype=float)
    return {"pairs": (values, np.ones_like(values))}


@pytest.mark.parametrize(("gain", "verdict"), [(0.2, "better than chance and the bias model"), (0.0, "is noise")])
def test_the_verdict_is_on_the_paired_difference_in_order(gain, verdict):
    base = np.random.default_rng(0).uniform(0.5, 0.8, 40)
    known = [
        Known("world model of the run", "bias model", 90, sums_of(base), sums_of(base)),
        Known("model", "bias model", 1234, sums_of(base + gain), sums_of(base)),
    ]
    found = held_out_section(known, "model")
    assert verdict in found.lines[-1]
    assert found.lines[0] == "| model | events | pairs [95%] |"
    assert found.lines[5].startswith("| model | 1,234 | ")
    assert found.content[5]["metrics"]["pairs"]["value"] == pytest.approx(gain)


def test_a_model_must_be_trained_and_surely_above_chance():
    """As an untrained one that had 0.489 [0.394, 0.589] where the biases had 0.340."""
    base, draw = np.full(100, 0.34), np.random.default_rng(0)
    chance = base + 0.15 + draw.normal(size=100) * 0.3
    known = Known("model", "bias model", 100, sums_of(chance), sums_of(base))
    assert failures(known) == ["the interval of pairs does not lie above 0.5, which is chance"]
    assert "fails its test: the interval of pairs" in held_out_section([known], "model").lines[-1]
    assert failures(replace(known, sums=sums_of(chance + 0.3))) == []
    untrained = replace(known, sums=sums_of(chance + 0.3), trained=False)
    assert failures(untrained) == ["its fit did not improve on its random start"]
    nobody = {"pairs": (np.zeros(3), np.zeros(3))}
    assert failures(replace(known, sums=nobody, baseline_sums=nobody)) == [
        "no user has two held-out events to put in order"
    ]


def test_a_refusal_is_explained_and_numbers_are_dashes():
    one, reward = np.ones(50), np.arange(50.0) % 2
    never = Bandit(np.arange(50), reward, one / 2, 0 * one, reward, one)
    always = Bandit(np.arange(50), reward, one / 2, one / 2, reward, one)
    found = {"greedy": off_policy(never, resamples=50), "sampled": off_policy(always, resamples=50)}
    section = off_policy_section(found, Interval(1.0, 0.9, 1.1))
    assert "| greedy | – | – | – | 0.0 of 50 | 0.0 | 0.00 |" in section.lines
    sampled = next(line for line in section.lines if line.startswith("| sampled"))
    assert sampled.startswith("| sampled | 1.000 [1.000, 1.000] | 0.500 [0.")
    assert sampled.endswith(" | 1.000 [1.000, 1.000] | 50.0 of 50 | 25.0 | 1.00 |")
    assert [line for line in section.lines if line.startswith("- greedy: no estimate: effective sample size 0.0 of 50")]
    assert section.content["greedy"]["dr"] is None
