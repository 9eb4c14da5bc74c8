"""Sections say in words whether the evaluation world model is worth listening to, and why an estimate is refused."""

import numpy as np
import pytest

from darlr.evaluation.held_out import Interval
from darlr.evaluation.off_policy import Bandit, off_policy
from darlr.evaluation.sections import Known, held_out_section, off_policy_section


def sums_of(pairs):
    values = np.asarray(pairs, dtype=float)
    return {"pairs": (values, np.ones_like(values))}


@pytest.mark.parametrize(("gain", "verdict"), [(0.2, "better than the bias model"), (0.0, "is noise")])
def test_the_verdict_is_on_the_paired_difference_in_order(gain, verdict):
    base = np.random.default_rng(0).uniform(0.3, 0.7, 40)
    known = [
        Known("world model of the run", "bias model", 90, sums_of(base), sums_of(base)),
        Known("judge", "bias model", 1234, sums_of(base + gain), sums_of(base)),
    ]
    found = held_out_section(known, "judge")
    assert verdict in found.lines[-1]
    assert found.lines[0] == "| model | events | pairs [95%] |"
    assert found.lines[5].startswith("| judge | 1,234 | ")
    assert found.content[5]["metrics"]["pairs"]["value"] == pytest.approx(gain)


def test_a_refusal_is_said_and_numbers_are_dashes():
    one = np.ones(50)
    never = Bandit(np.arange(50), one, one / 2, 0 * one, one, one)
    always = Bandit(np.arange(50), one, one / 2, one / 2, one, one)
    found = {"greedy": off_policy(never, resamples=50), "sampled": off_policy(always, resamples=50)}
    section = off_policy_section(found, Interval(1.0, 0.9, 1.1))
    assert "| greedy | – | – | – | 0.0 of 50 | 0.00 |" in section.lines
    assert "| sampled | 1.000 [1.000, 1.000] | 1.000 [1.000, 1.000] | 1.000 [1.000, 1.000] | 50.0 of 50 | 1.00 |" in (
        section.lines
    )
    assert [line for line in section.lines if line.startswith("- greedy: no estimate: effective sample size 0.0 of 50")]
    assert section.content["greedy"]["dr"] is None
