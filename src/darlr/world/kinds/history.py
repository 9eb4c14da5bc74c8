"""Kind history: predictions for the scope's items from users' events on other items."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from darlr.data.scope import scope_of
from darlr.data.split import select
from darlr.options import WorldModelConfig
from darlr.world.kinds.kind import Kind, Task, Trained, metrics_of
from darlr.world.models.history import HistoryModel, fit_history
from darlr.world.models.scale import Scale


def fit(task: Task) -> Trained:
    """Fit the model, which is chosen by cross-validation over users, without epochs and without held-out rows."""
    log = task.train
    model, explained = fit_history(log, scope_of(log), task.config)
    positive = float(log.reward[0])
    scale = Scale(0.0, positive, min(0.0, positive), max(0.0, positive))
    unread = replace(task, held_out=select(log, log.user < 0))
    chosen = {"explained": explained, "coordinates": model.coordinates.shape[1]}
    return Trained(model, scale, metrics_of(unread, (None, None), [], **chosen))


def load(state: Mapping[str, Tensor], config: WorldModelConfig) -> HistoryModel:
    """The model from its tensors."""
    return HistoryModel(**state)


KIND = Kind(fit, load, uses_held_out=False)
