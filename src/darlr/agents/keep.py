"""Which policy a run hands over: the best of its start and its epochs, by what it would earn on r_0.

Learning can destroy a good start. No truth decides but the world model: the return of greedy sessions on r_0 that
no update has used, of the same users after every epoch (common random numbers).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from darlr.agents.sink import Sink


@dataclass(frozen=True)
class Earned:
    """Mean return of a session. learned: as it is learned, by which policies are ranked; shown: in the log's unit.

    turns: mean length of the sessions.
    """

    learned: float
    shown: float
    turns: float


Criterion = Callable[[Any], Earned]
"""What a recommender earns."""


class Keeper:
    """Scores a recommender after each epoch and keeps the weights of the best so far in the run's sink."""

    def __init__(self, sink: Sink, criterion: Criterion, recommender: nn.Module, done: int) -> None:
        """done: the epoch that `recommender` was trained to; at 0 it is the start.

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
        """Score the policy of this epoch; columns for the log line.

        greedy_return: in the log's unit; greedy_length: turns; greedy_gain: over the start, as it is learned; kept: the
        best epoch so far.
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
