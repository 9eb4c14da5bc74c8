"""Are predictive distributions calibrated? Probability integral transforms and coverage (Gneiting et al. 2007)."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from darlr.world.answers import Cells, between

LEVELS = (0.5, 0.8, 0.95)


def transforms(
    mean: Float[Tensor, " L"],
    variance: Float[Tensor, " L"],
    reward: Float[Tensor, " L"],
    cells: Cells,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """The probability integral transform of each reward under a normal variable that is clipped and rounded.

    Where a reward stands for an interval of the variable, it is drawn uniformly between the probabilities of the ends
    (Czado, Gneiting and Held 2009). Under the true distribution the transforms are uniform in [0, 1].
    """
    below, above = between(cells.of(reward), mean, variance.sqrt())
    uniform = torch.from_numpy(generator.random(len(reward)))
    return np.asarray(below + (above - below) * uniform)


def coverage(found: NDArray[np.float64], level: float) -> float:
    """The share of the transforms inside the central interval of this level, which is `level` if calibrated."""
    return float((np.abs(found - 0.5) < level / 2).mean())
