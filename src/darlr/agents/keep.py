"""Selection of the policy that a run hands over: the best of its start and its epochs by simulated return.

Learning can make a good start worse. The criterion is the return of greedy sessions that are paid by r_0 of the world
model and that no update has used. Their users are the same after every epoch (common random numbers). No truth is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from darlr.agents.sink import Sink


@dataclass(frozen=True)
class Earned:
    """The mean return of sessions. learned: in the unit of learning, which ranks policies. shown: in the log's unit.

    turns: the mean length of the sessions.
    """

    learned: float
    shown: float
    turns: float


Criterion = Callable[[Any], Earned]
"""A function from a recommender to its return."""


class Keeper:
    """It scores a recommender after each epoch, and keeps the weights of the best so far in the run's sink."""

    def __init__(self, sink: Sink, criterion: Criterion, recommender: nn.Module, done: int) -> None:
        """done: the number of epochs that `recommender` was trained for.

        Raises RunError when an earlier epoch's weights are missing or damaged.
        """
        self.sink, self.criterion = sink, criterion
        if done:
            self.best: dict[str, Any] = sink.load_best()[1]
            return
        start = criterion(recommender)
        self.best = {"epoch": 0, "earned": vars(start), "start": vars(start)}
        self._write(recommender)

    def see(self, epoch: int, recommender: nn.Module) -> Mapping[str, Any]:
        """Score the policy of this epoch; returns columns for the log line.

        greedy_return: in the log's unit. greedy_length: in turns. greedy_gain: the return above that of the start, in
        the unit of learning. kept: the best epoch so far.
        """
        earned, start = self.criterion(recommender), self.best["start"]
        if earned.learned > self.best["earned"]["learned"]:
            self.best = {"epoch": epoch, "earned": vars(earned), "start": start}
            self._write(recommender)
        return {
            "greedy_return": earned.shown,
            "greedy_length": earned.turns,
            "greedy_gain": earned.learned - start["learned"],
            "kept": self.best["epoch"],
        }

    def _write(self, recommender: nn.Module) -> None:
        self.sink.save_best(recommender.state_dict(), self.best)
