"""Kind mixed: a DeepFM ensemble and a Bayesian factorisation machine, averaged (docs/world-model.md)."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from darlr.options import WorldModelConfig
from darlr.world.kinds import bayesian, deepfm
from darlr.world.kinds.kind import Kind, Task, Trained, part
from darlr.world.models.deepfm import DeepFM
from darlr.world.models.mixture import Mixture


def fit(task: Task) -> Trained:
    """Fit both on the same rows; held-out numbers are those of the average."""
    deep = deepfm.fit(task)
    assert isinstance(deep.model, DeepFM)
    model = Mixture(deep.model, bayesian.sampled(task, deep.scale))
    if not len(task.held_out):
        return replace(deep, model=model)
    loss, rmse = bayesian.held_out_score(model, task, deep.scale)
    return replace(deep, model=model, metrics={**deep.metrics, "held_out_loss": loss, "held_out_rmse": rmse})


def load(state: Mapping[str, Tensor], config: WorldModelConfig) -> Mixture:
    """Both halves from their tensors."""
    return Mixture(deepfm.load(part(state, "deep."), config), bayesian.load(part(state, "bayesian."), config))


KIND = Kind(fit, load)
