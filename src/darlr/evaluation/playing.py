"""Play many policies at once, in sessions that share turns, and measure them (docs/method.md, section 8)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.evaluation.protocol import CELLS, Trajectories, play
from darlr.evaluation.truth import Truth
from darlr.options import Mode
from darlr.simulation.exits import Exit
from darlr.simulation.policy import Policy

MAJORITY_SHARE = 0.8  # cumulative share up to which the most frequent categories count as the majority


class Metrics(TypedDict):
    """R_tra and R_each in units of reward, Length in turns, CV and MCD as shares (MCD None without categories)."""

    R_tra: float
    Length: float
    R_each: float
    CV: float
    MCD: float | None


def metrics(trajectories: Trajectories, catalogue: int, majority: Tensor | None = None) -> Metrics:
    """Compute the metrics of a set of sessions. R_each is a ratio of means. CV counts items over all sessions.

    catalogue: how many items could be recommended. majority: bool [I] from `majority_items`.
    """
    shown = trajectories.items[trajectories.items >= 0]
    mean_return = float(trajectories.returns.mean())
    mean_length = float(trajectories.length.double().mean())
    return Metrics(
        R_tra=mean_return,
        Length=mean_length,
        R_each=mean_return / mean_length if mean_length else 0.0,
        CV=int(shown.bincount().count_nonzero()) / catalogue,
        MCD=None if majority is None or not len(shown) else float(majority.to(shown.device)[shown].double().mean()),
    )


def averaged(found: Sequence[Metrics]) -> Metrics:
    """Average the metrics of several sets of sessions; MCD is None where one has none."""
    shares = [one["MCD"] for one in found if one["MCD"] is not None]
    return Metrics(
        R_tra=float(np.mean([one["R_tra"] for one in found])),
        Length=float(np.mean([one["Length"] for one in found])),
        R_each=float(np.mean([one["R_each"] for one in found])),
        CV=float(np.mean([one["CV"] for one in found])),
        MCD=float(np.mean(shares)) if len(shares) == len(found) else None,
    )


def majority_items(log: InteractionLog) -> Tensor | None:
    """Find the items with at least one majority category, bool [I]; None without categories or positive events.

    Categories are taken by falling frequency in positive events of the training log, while their cumulative share is
    at most 0.8, and at least one. A positive event has a reward above the middle of the range.
    """
    codes = log.category_codes()
    if codes is None:
        return None
    low, high = log.reward_range
    logged = codes[log.item[log.reward > (low + high) / 2]]
    counts = np.bincount(logged[logged >= 0], minlength=int(codes.max(initial=-1)) + 1)
    if not counts.sum():
        return None
    order = np.argsort(-counts, kind="stable")
    # whole numbers are compared, so that a share of exactly 0.8 still belongs
    taken = max(1, int((np.cumsum(counts[order]) * 10 <= counts.sum() * round(MAJORITY_SHARE * 10)).sum()))
    member = np.zeros(len(counts) + 1, dtype=bool)  # the last entry stands for "no category": -1
    member[order[:taken]] = True
    return torch.from_numpy(member[codes].any(1))


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


def play_jobs(
    jobs: Sequence[Job], setting: Setting, truth: Truth, log: InteractionLog, *, majority: Tensor | None, seed: int = 0
) -> list[Played]:
    """Play every user of the truth with each policy, whose sessions do not depend on the other jobs, in their order."""
    users = torch.as_tensor(truth.users)
    alike: dict[tuple[bool, bool], list[int]] = defaultdict(list)
    for place, job in enumerate(jobs):
        alike[job.greedy, job.exit_aware].append(place)
    most = max(1, CELLS // (len(users) * log.n_items))  # large worlds fill the processor alone
    found: dict[int, Played] = {}
    for (greedy, exit_aware), places in alike.items():
        for start in range(0, len(places), most):
            some = places[start : start + most]
            states = (np.random.SeedSequence((seed, jobs[place].run)).generate_state(1)[0] for place in some)
            played = play(
                [jobs[place].policy for place in some],
                truth,
                log.n_items,
                setting.rule,
                mode=setting.mode,
                turns=setting.turns,
                greedy=greedy,
                generators=[torch.Generator().manual_seed(int(state)) for state in states],
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
