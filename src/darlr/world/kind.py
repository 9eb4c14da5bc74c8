"""What all kinds of world model share: the unit of predictions, the reports of a fit, and how to fit and read them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.options import WorldModelConfig


@dataclass(frozen=True)
class Scale:
    """The standardised unit of predictions.

    centre, spread: the mean and the standard deviation of rewards. low, high: the smallest and the largest prediction.
    """

    centre: float
    spread: float
    low: float
    high: float

    def standardise(self, reward: Tensor) -> Tensor:
        """Rewards in standardised units."""
        return (reward - self.centre) / self.spread

    def reward(self, mean: Tensor) -> Tensor:
        """Predicted means in reward units, clipped to the range."""
        return (mean * self.spread + self.centre).clamp(self.low, self.high)

    def variance(self, log_variance: Tensor) -> Tensor:
        """Variances in squared reward units."""
        return log_variance.exp() * self.spread**2


def scale_of(log: InteractionLog, config: WorldModelConfig) -> Scale:
    """The scale of the logged rewards; that of an implicit log includes the sampled negatives."""
    low, high = log.reward_range
    if config.loss == "pointneg":
        low = min(low, log.unit.zero)
    centre, spread = float(log.reward.mean()), float(log.reward.std())
    if config.loss == "pointneg" and log.implicit:
        share, gap = 1 / (1 + config.negatives), centre - low
        centre, spread = low + share * gap, gap * math.sqrt(share * (1 - share))
    return Scale(centre, spread or 1.0, low, high)


@dataclass(frozen=True)
class EpochReport:
    """One epoch of a fit; epoch 0 is the untrained model, and has no training loss.

    Losses are in nats per event of standardised reward, the RMSE is in the unit of the log. Held-out values are None
    without held-out events.
    """

    epoch: int
    epochs: int
    train_loss: float | None
    held_out_loss: float | None
    held_out_rmse: float | None
    best_epoch: int


@dataclass(frozen=True)
class SweepReport:
    """The number of sweeps of the Gibbs sampler that are done, and the number of all sweeps."""

    sweep: int
    sweeps: int


Progress = Callable[[EpochReport | SweepReport], None]


@runtime_checkable
class WorldModel(Protocol):
    """A trained model of K members that predicts rewards in standardised units."""

    members: int

    def over(self, items: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """A function from users int64 [u] to mean and log-variance, [K, u, i] each, for these items int64 [i]."""
        ...

    def vectors(self, size: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of these users and items, float32 [u, size] and [i, size], of unit mean square over the log."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All tensors that `Kind.load` needs, by name."""
        ...


@dataclass(frozen=True)
class Warm:
    """A trained model that a fit goes on from, after its log was extended (`darlr.data.extend`).

    model, scale: those of the earlier fit. replay: the number of old events to learn from beside each new one.
    """

    model: WorldModel
    scale: Scale
    replay: float


@dataclass(frozen=True)
class Task:
    """What a kind is fitted on. config: options whose kind and loss are not auto. progress: called with each report.

    warm: the model to go on from; None for a fit anew. A kind that is quick to fit anew may ignore it.
    """

    train: InteractionLog
    held_out: InteractionLog
    config: WorldModelConfig
    progress: Progress | None = None
    warm: Warm | None = None

    @property
    def scale(self) -> Scale:
        """The unit of predictions, which a fit that goes on keeps."""
        return scale_of(self.train, self.config) if self.warm is None else self.warm.scale

    def report(self, done: EpochReport | SweepReport) -> None:
        """Call `progress`, where there is one."""
        if self.progress is not None:
            self.progress(done)

    def metrics(
        self, loss: float | None, rmse: float | None, history: list[EpochReport], **more: Any
    ) -> dict[str, Any]:
        """The metrics of the fit, as JSON values. loss, rmse: on held-out events. history: empty without epochs.

        warm: True where the fit went on from another one, which epoch 0 then is.
        """
        return {
            "train_rows": len(self.train),
            "held_out_rows": len(self.held_out),
            "best_epoch": history[-1].best_epoch if history else 0,
            **({} if self.warm is None else {"warm": True}),
            "held_out_loss": loss,
            "held_out_rmse": rmse,
            **more,
            "history": [asdict(report) for report in history],
        }


@dataclass(frozen=True)
class Trained:
    """A trained model, the unit of its predictions, and the metrics of its fit."""

    model: WorldModel
    scale: Scale
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of world model.

    fit: train it. load: build it from the tensors of `state_dict`. random_start: whether it knows nothing of the log
    before its first epoch. uses_held_out: whether held-out events choose anything, such as the epoch; a refit on the
    whole log is useful only then. pairs: whether it predicts single pairs (`darlr.world.factored.PairModel`).
    """

    fit: Callable[[Task], Trained]
    load: Callable[[Mapping[str, Tensor], WorldModelConfig], WorldModel]
    random_start: bool = False
    uses_held_out: bool = True
    pairs: bool = True


def part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `name`, by the rest of their names."""
    return {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}
