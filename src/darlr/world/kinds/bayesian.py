"""Kind bayesian: draws of a factorisation machine from its posterior (docs/world-model.md)."""

from collections.abc import Mapping

from torch import Tensor

from darlr.options import WorldModelConfig
from darlr.world.kinds.kind import Kind, SweepReport, Task, Trained, metrics_of
from darlr.world.models.bayesian import BayesianFM, fit_bayesian
from darlr.world.models.mixture import Mixture
from darlr.world.models.scale import Scale, scale_of
from darlr.world.models.trainer import logged_rows, score


def fit(task: Task) -> Trained:
    """Learn from the log's rewards, without epochs."""
    scale = scale_of(task.train, task.config)
    model = sampled(task, scale)
    return Trained(model, scale, metrics_of(task, held_out_score(model, task, scale), []))


def sampled(task: Task, scale: Scale) -> BayesianFM:
    """The draws, from the rows and weights that a DeepFM would learn from."""
    rows = logged_rows(task.train, task.config, scale)
    return fit_bayesian(
        task.train, rows.target, rows.weight, task.config, lambda *done: task.report(SweepReport(*done))
    )


def held_out_score(model: BayesianFM | Mixture, task: Task, scale: Scale) -> tuple[float | None, float | None]:
    """Held-out log loss, and RMSE in the log's unit; None without held-out events."""
    if not len(task.held_out):
        return None, None
    loss, rmse = score(model, logged_rows(task.held_out, task.config, scale), scale)
    return loss, rmse * task.held_out.unit.scale


def load(state: Mapping[str, Tensor], config: WorldModelConfig) -> BayesianFM:
    """The draws from their tensors."""
    return BayesianFM(**state)


KIND = Kind(fit, load)
