"""Many policies are played at once: their sessions share turns, and each policy scores its own sessions."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.evaluation.metrics import Metrics, metrics
from darlr.evaluation.protocol import CELLS, Trajectories, play
from darlr.options import Mode
from darlr.simulation.exits import Exit
from darlr.simulation.policy import Policy

if TYPE_CHECKING:
    from darlr.evaluation.truth import Truth


@dataclass(frozen=True)
class Setting:
    """How sessions are played. window: N, or None where no exit can happen and N means nothing."""

    mode: Mode
    window: int | None
    rule: Exit
    turns: int = 30


@dataclass(frozen=True)
class Played:
    """One training seed under one setting. returns: float64 [users], and tallies, float64 [users, 3], in the truth's
    order."""

    returns: NDArray[np.float64]
    metrics: Metrics
    tallies: NDArray[np.float64] | None = None


class Job(NamedTuple):
    """A policy to play. run: the number of its training seed. It and the seed of the evaluation seed the sampling."""

    policy: Policy
    greedy: bool = True
    exit_aware: bool = False
    run: int = 0


def play_jobs(
    jobs: Sequence[Job],
    setting: Setting,
    truth: "Truth",
    log: InteractionLog,
    *,
    majority: Tensor | None,
    seed: int = 0,
) -> list[Played]:
    """Every user's session with each of the policies, in the order of the jobs.

    log: the catalogue that the policies score. A job gives the same sessions alone and in any company.
    """
    users = torch.as_tensor(truth.users)
    alike: dict[tuple[bool, bool], list[int]] = defaultdict(list)
    for place, job in enumerate(jobs):
        alike[job.greedy, job.exit_aware].append(place)
    most = max(1, CELLS // (len(users) * log.n_items))  # large worlds fill the processor alone
    found: dict[int, Played] = {}
    for places in alike.values():
        for start in range(0, len(places), most):
            some = places[start : start + most]
            for place, played in zip(
                some, _play([jobs[k] for k in some], setting, truth, log, users, seed), strict=True
            ):
                counted = metrics(played, len(truth.items), majority)
                found[place] = Played(played.returns.cpu().numpy(), counted, _tallies(played, truth))
    return [found[place] for place in range(len(jobs))]


def _play(
    jobs: Sequence[Job], setting: Setting, truth: "Truth", log: InteractionLog, users: Tensor, seed: int
) -> list[Trajectories]:
    """Sessions of jobs that are played in one way, a part a job."""
    return play(
        [job.policy for job in jobs],
        truth,
        log.n_items,
        setting.rule,
        mode=setting.mode,
        turns=setting.turns,
        greedy=jobs[0].greedy,
        generators=[_generator(seed, job.run) for job in jobs],
        users=users.repeat(len(jobs)),
        exit_aware=jobs[0].exit_aware,
    ).split(len(users))


def _tallies(played: Trajectories, truth: "Truth") -> NDArray[np.float64] | None:
    """The tallies of the random feedback on shown items, for the users of a truth in its order."""
    if truth.random is None:
        return None
    items = played.items.cpu()
    column = torch.full((int(max(items.max(), truth.items.max())) + 2,), -1)  # the last is that of item -1
    column[torch.as_tensor(truth.items)] = torch.arange(len(truth.items))
    return truth.random.tally(torch.arange(len(items)), column[items])


def _generator(seed: int, run: int) -> torch.Generator:
    state = np.random.SeedSequence((seed, run)).generate_state(1)[0]
    return torch.Generator().manual_seed(int(state))
