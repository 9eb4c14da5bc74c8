"""Play many policies at once: their sessions share turns, and each policy scores its own sessions."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.evaluation.metrics import Metrics, metrics
from darlr.evaluation.protocol import CELLS, Trajectories, play
from darlr.evaluation.truth import Truth
from darlr.options import Mode
from darlr.simulation.exits import Exit
from darlr.simulation.policy import Policy
from darlr.simulation.session import Session


@dataclass(frozen=True)
class Setting:
    """How sessions are played. window: the exit window N, or None where no exit can happen."""

    mode: Mode
    window: int | None
    rule: Exit
    turns: int = 30


@dataclass(frozen=True)
class Played:
    """The sessions of one training seed. returns: float64 [Ue]; tallies: float64 [Ue, 3]; in the truth's order."""

    returns: NDArray[np.float64]
    metrics: Metrics
    tallies: NDArray[np.float64] | None = None


class Job(NamedTuple):
    """A policy to play. run: the number of its training seed, which also seeds the sampling of actions."""

    policy: Policy
    greedy: bool = True
    exit_aware: bool = False
    run: int = 0


@dataclass(frozen=True)
class Together:
    """Policies that play side by side, each in an equal share of the sessions, in order."""

    policies: Sequence[Policy]

    def scores(self, session: Session) -> Tensor:
        """Return the scores of each policy for its own sessions, float32 [B, I]."""
        share = len(session.user) // len(self.policies)
        parts, start = [], 0
        for _, same in groupby(self.policies, key=id):
            alike = list(same)  # one call for repeated entries of a policy
            rows = slice(start, start + share * len(alike))
            fields = ("user", "items", "rewards", "turn", "done")
            own = replace(session, **{name: getattr(session, name)[rows] for name in fields})
            parts.append(alike[0].scores(own))
            start = rows.stop
        return torch.cat(parts)


def play_jobs(
    jobs: Sequence[Job],
    setting: Setting,
    truth: Truth,
    log: InteractionLog,
    *,
    majority: Tensor | None,
    seed: int = 0,
) -> list[Played]:
    """Play one session of every user of the truth with each policy. The results are in the order of the jobs.

    log: the catalogue that the policies score. The sessions of a job do not depend on the other jobs.
    """
    users = torch.as_tensor(truth.users)
    alike: dict[tuple[bool, bool], list[int]] = defaultdict(list)
    for place, job in enumerate(jobs):
        alike[job.greedy, job.exit_aware].append(place)
    # rewards that are not float32 are shown to each policy in its own way, and large worlds fill the processor alone
    most = max(1, CELLS // (len(users) * log.n_items)) if truth.reward.dtype == torch.float32 else 1
    found: dict[int, Played] = {}
    for (greedy, exit_aware), places in alike.items():
        for start in range(0, len(places), most):
            some = places[start : start + most]
            policies = [jobs[place].policy for place in some]
            played = play(
                policies[0] if len(some) == 1 else Together(policies),
                truth,
                log.n_items,
                setting.rule,
                mode=setting.mode,
                turns=setting.turns,
                greedy=greedy,
                generators=[_generator(seed, jobs[place].run) for place in some],
                users=users.repeat(len(some)),
                exit_aware=exit_aware,
            )
            for place, part in zip(some, played.split(len(users)), strict=True):
                counted = metrics(part, len(truth.items), majority)
                found[place] = Played(part.returns.cpu().numpy(), counted, _tallies(part, truth))
    return [found[place] for place in range(len(jobs))]


def _tallies(played: Trajectories, truth: Truth) -> NDArray[np.float64] | None:
    """Tally the random feedback on shown items, for the users of a truth in its order."""
    if truth.random is None:
        return None
    items = played.items.cpu()
    column = torch.full((int(max(items.max(), truth.items.max())) + 2,), -1)  # the last is that of item -1
    column[torch.as_tensor(truth.items)] = torch.arange(len(truth.items))
    return truth.random.tally(torch.arange(len(items)), column[items])


def _generator(seed: int, run: int) -> torch.Generator:
    state = np.random.SeedSequence((seed, run)).generate_state(1)[0]
    return torch.Generator().manual_seed(int(state))
