"""What every kind of world model gives: how it is fitted, and how it is read from disk."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.options import WorldModelConfig
from darlr.world.models.scale import Scale


@dataclass(frozen=True)
class EpochReport:
    """One epoch of a fit (0 = before training); losses in nats a row of standardised reward, RMSE in the log's unit.

    Held-out values are None without a held-out log, and the training loss is None at epoch 0.
    """

    epoch: int
    epochs: int
    train_loss: float | None
    held_out_loss: float | None
    held_out_rmse: float | None
    best_epoch: int


@dataclass(frozen=True)
class SweepReport:
    """How many sweeps of the Gibbs sampler are done, of how many."""

    sweep: int
    sweeps: int


Progress = Callable[[EpochReport | SweepReport], None]


@runtime_checkable
class WorldModel(Protocol):
    """A trained model of K members that predicts rewards in standardised units."""

    members: int

    def over(self, items: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Of these items int64 [i]: a function from users int64 [u] to mean and log-variance, [K, u, i] each."""
        ...

    def vectors(self, size: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """A vector of each of these users and items, float32 [u, size] and [i, size], of unit mean square."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All tensors that `Kind.load` needs, by name."""
        ...


@dataclass(frozen=True)
class Task:
    """What a kind is fitted on. config: with kind and loss resolved. progress: called with epochs and sweeps."""

    train: InteractionLog
    held_out: InteractionLog
    config: WorldModelConfig
    progress: Progress | None = None

    def report(self, done: EpochReport | SweepReport) -> None:
        """Pass a report on to whoever follows the fit."""
        if self.progress is not None:
            self.progress(done)


@dataclass(frozen=True)
class Trained:
    """A trained model, the unit it predicts in, and how training went: JSON values, `best_epoch` among them."""

    model: WorldModel
    scale: Scale
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of world model.

    fit: train it. load: build it from what `state_dict` gave. random_start: whether before its first epoch it knows
    nothing of the log. uses_held_out: whether held-out events choose anything, such as the epoch; a refit on the whole
    log is worthwhile only then.
    """

    fit: Callable[[Task], Trained]
    load: Callable[[Mapping[str, Tensor], WorldModelConfig], WorldModel]
    random_start: bool = False
    uses_held_out: bool = True


def metrics_of(
    task: Task, held_out: tuple[float | None, float | None], history: list[EpochReport], **more: Any
) -> dict[str, Any]:
    """The metrics of a fit. held_out: loss and RMSE there; history: of the epochs, empty for a model without any."""
    return {
        "train_rows": len(task.train),
        "held_out_rows": len(task.held_out),
        "best_epoch": history[-1].best_epoch if history else 0,
        "held_out_loss": held_out[0],
        "held_out_rmse": held_out[1],
        **more,
        "history": [asdict(report) for report in history],
    }


def part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `name`, without it."""
    return {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}
