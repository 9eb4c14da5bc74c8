"""Transforms are uniform under the true distribution, and coverage shows a variance that is too small."""

import numpy as np
import pytest
import torch

from darlr.evaluation.calibration import LEVELS, coverage, transforms
from darlr.world.answers import Cells


@pytest.mark.parametrize("values", [np.arange(1.0, 6.0), np.zeros(0)])
def test_the_true_distribution_is_covered_and_a_narrow_one_is_not(values: np.ndarray) -> None:
    generator = np.random.default_rng(0)
    mean, deviation = generator.uniform(1, 5, 20_000), 1.2
    reward = mean + deviation * generator.standard_normal(20_000)
    reward = (reward.round() if len(values) else reward).clip(1, 5)
    inputs = torch.from_numpy(mean), torch.full((20_000,), deviation**2), torch.from_numpy(reward)
    found = transforms(*inputs, Cells(values, 1.0, 5.0), generator)
    for level in LEVELS:
        assert coverage(found, level) == pytest.approx(level, abs=0.01)
    assert np.histogram(found, 10, (0, 1))[0] / 2000 == pytest.approx(np.ones(10), abs=0.1)
    narrow = transforms(inputs[0], inputs[1] / 2, inputs[2], Cells(values, 1.0, 5.0), generator)
    assert coverage(narrow, 0.5) < 0.42
