"""The output of a training run, in memory or in a folder (`darlr.experiments.runs`), and the choice of its policy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from darlr.io.checkpoint import Saved


class Sink(Protocol):
    """The log lines and checkpoints that a training run writes and resumes from."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The log lines so far, one for each epoch."""
        ...

    def log(self, row: Mapping[str, Any]) -> None:
        """Append a log line."""
        ...

    def save_checkpoint(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint, which includes the log lines so far."""
        ...

    def load_checkpoint(self) -> Saved | None:
        """The newest checkpoint, or None before the first one; later log lines are dropped."""
        ...

    def save_best(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the weights of the best policy so far."""
        ...

    def load_best(self) -> Saved:
        """The weights of the best policy so far; raises an error where there are none."""
        ...


class Memory:
    """A `Sink` in memory. It copies tensors, because optimisers change theirs in place."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._checkpoint: Saved | None = None
        self._best: Saved | None = None

    def log(self, row: Mapping[str, Any]) -> None:
        """See `Sink`."""
        self.rows.append(dict(row))

    def save_checkpoint(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """See `Sink`."""
        self._checkpoint = _copied(tensors), {**state, "rows": len(self.rows)}

    def load_checkpoint(self) -> Saved | None:
        """See `Sink`."""
        if self._checkpoint is None:
            self.rows.clear()
            return None
        tensors, state = self._checkpoint
        del self.rows[state["rows"] :]
        return _copied(tensors), state

    def save_best(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """See `Sink`."""
        self._best = _copied(weights), dict(state)

    def load_best(self) -> Saved:
        """See `Sink`; raises ValueError."""
        if self._best is None:
            raise ValueError("no policy was kept yet")
        return self._best


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


@dataclass(frozen=True)
class Earned:
    """The mean return of sessions: `learned` in the unit of learning, which ranks policies, and `shown` in the log's.

    turns: the mean length of the sessions. sessions: `learned` of each session, where its error counts.
    """

    learned: float
    shown: float
    turns: float
    sessions: tuple[float, ...] = ()

    def stated(self) -> dict[str, Any]:
        """As JSON values, without `sessions` where there are none."""
        return {name: value for name, value in vars(self).items() if value != ()}


Criterion = Callable[[Any], Earned]
"""A function from a recommender to its return."""


class Keeper:
    """Selection of the best policy among the start and all epochs, since learning can make a good start worse.

    The criterion is the return of greedy sessions on r_0 of the world model, which no update has used. Their users are
    the same after every epoch (common random numbers). The ground truth is not read.

    Where the criterion gives the return of each session, an epoch must surely earn more than the start: the interval of
    the mean difference, paired by session, must lie above 0, at 95% for all epochs together (Bonferroni).
    """

    def __init__(self, sink: Sink, criterion: Criterion, recommender: nn.Module, done: int, epochs: int = 1) -> None:
        """done: the number of epochs that `recommender` was trained for. epochs: how many there will be.

        Raises RunError when the weights of an earlier epoch are missing or damaged.
        """
        self.sink, self.criterion = sink, criterion
        self.errors = NormalDist().inv_cdf(1 - 0.025 / max(1, epochs))
        if done:
            self.best: dict[str, Any] = sink.load_best()[1]
        else:
            start = criterion(recommender).stated()
            self._keep(recommender, 0, start, start)

    def see(self, epoch: int, recommender: nn.Module) -> Mapping[str, Any]:
        """Evaluate the policy of this epoch and keep it if it is the best; returns columns of the log line.

        greedy_return: in the log's unit. greedy_length: in turns. greedy_gain: the return above that of the start, in
        the unit of learning. kept: the best epoch so far.
        """
        earned, start = self.criterion(recommender), self.best["start"]
        gain = np.subtract(earned.sessions, start.get("sessions", ()))
        error = self.errors * gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else 0.0
        if earned.learned > self.best["earned"]["learned"] and (not len(gain) or gain.mean() > error):
            found = earned.stated()
            self._keep(recommender, epoch, found | {"error": float(error)} if len(gain) else found, start)
        return {
            "greedy_return": earned.shown,
            "greedy_length": earned.turns,
            "greedy_gain": earned.learned - start["learned"],
            "kept": self.best["epoch"],
        }

    def _keep(self, recommender: nn.Module, epoch: int, earned: dict[str, Any], start: dict[str, Any]) -> None:
        self.best = {"epoch": epoch, "earned": earned, "start": start}
        self.sink.save_best(recommender.state_dict(), self.best)
