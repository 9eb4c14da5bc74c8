"""One thread that computes all answers, in small batches, behind a queue of bounded length."""

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from darlr.options import StrategyConfig
from darlr.serving.asked import Asked
from darlr.serving.served import ServedPolicy
from darlr.serving.strategy import choose


class BusyError(Exception):
    """The queue is full: come back later."""


@dataclass(frozen=True)
class Job:
    """One request for a policy, in its codes. seed: of the draws, below 2^64; 0 where nothing is drawn."""

    policy: ServedPolicy
    asked: Asked
    count: int
    config: StrategyConfig
    seed: int = 0


@dataclass(frozen=True)
class Chosen:
    """The items of one user by rank: codes, scores and propensities."""

    codes: list[int]
    scores: list[float]
    propensities: list[float]


def decide(jobs: Sequence[Job]) -> list[Chosen]:
    """The answers to jobs of one policy, whose users are of one kind; RunError for damaged scores."""
    scores, allowed, listed = jobs[0].policy.scored([job.asked for job in jobs])
    found = []
    for row, job in enumerate(jobs):
        here = slice(row, row + 1)
        choice = choose(scores[here], allowed[here], job.count, job.config, np.array([job.seed], np.uint64), listed)
        parts = choice.codes, choice.scores, choice.propensities
        found.append(Chosen(*(part[0, : choice.counts[0]].tolist() for part in parts)))
    return found


@dataclass
class Engine:
    """Answers jobs in a thread of its own. waiting: the most jobs in the queue. together: the most in one batch.

    observe: is told the size of each batch.
    """

    waiting: int
    together: int
    observe: Callable[[int], Any] = lambda size: None
    _jobs: "queue.Queue[tuple[Job, Future[Chosen]] | None]" = field(init=False)

    def __post_init__(self) -> None:
        self._jobs = queue.Queue(self.waiting)
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def length(self) -> int:
        """The number of jobs in the queue."""
        return self._jobs.qsize()

    def submit(self, job: Job) -> "Future[Chosen]":
        """The answer, once there is one. Raises BusyError where the queue is full."""
        future: Future[Chosen] = Future()
        try:
            self._jobs.put_nowait((job, future))
        except queue.Full:
            raise BusyError from None
        return future

    def close(self) -> None:
        """Answer what is in the queue, and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            batch = [self._jobs.get()]
            with contextlib.suppress(queue.Empty):
                while batch[-1] is not None and len(batch) < self.together:
                    batch.append(self._jobs.get_nowait())
            jobs = [one for one in batch if one is not None and one[1].set_running_or_notify_cancel()]
            self.observe(len(jobs))
            by_kind = sorted(jobs, key=_kind)
            for _, group in groupby(by_kind, key=_kind):
                self._answer(list(group))
            if batch[-1] is None:
                return

    def _answer(self, group: "list[tuple[Job, Future[Chosen]]]") -> None:
        try:
            found = decide([job for job, _ in group])
        except Exception as error:  # whatever it is belongs to whoever asked
            if len(group) == 1:
                group[0][1].set_exception(error)
            else:  # one bad job costs the others nothing
                for one in group:
                    self._answer([one])
            return
        for (_, future), chosen in zip(group, found, strict=True):
            future.set_result(chosen)


def _kind(one: "tuple[Job, Future[Chosen]]") -> tuple[int, bool, int]:
    return id(one[0].policy), *one[0].asked.kind
