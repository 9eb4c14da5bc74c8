"""The metrics of a set of sessions (docs/method.md, section 8)."""

from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.evaluation.protocol import Trajectories

MAJORITY_SHARE = 0.8  # cumulative share up to which the most frequent categories count as the majority


class Metrics(TypedDict):
    """R_tra and R_each in units of reward, Length in turns, CV and MCD as shares (MCD None without categories)."""

    R_tra: float
    Length: float
    R_each: float
    CV: float
    MCD: float | None


def metrics(trajectories: Trajectories, catalogue: int, majority: Tensor | None = None) -> Metrics:
    """Compute the metrics of a set of sessions.

    catalogue: how many items could be recommended. majority: bool [I] from `majority_items`. R_each is the ratio of
    means, mean return / mean length. CV counts distinct items over all sessions.
    """
    shown = trajectories.items[trajectories.items >= 0]
    mean_return = float(trajectories.returns.mean())
    mean_length = float(trajectories.length.double().mean())
    return Metrics(
        R_tra=mean_return,
        Length=mean_length,
        R_each=mean_return / mean_length if mean_length else 0.0,
        CV=int(shown.bincount().count_nonzero()) / catalogue,
        MCD=None if majority is None or not len(shown) else float(majority[shown].double().mean()),
    )


def majority_items(log: InteractionLog, positive: float | None = None) -> Tensor | None:
    """Find the items with at least one majority category, bool [I]; None without categories or positive events.

    Categories are taken by falling frequency in positive events of the training log, while their cumulative share is
    at most 0.8, and at least one. positive: the least reward of a positive event; None = above the middle of the range.
    """
    codes = log.category_codes()
    if codes is None:
        return None
    low, high = log.reward_range
    rows = log.reward > (low + high) / 2 if positive is None else log.reward >= positive
    logged = codes[log.item[rows]]
    counts = np.bincount(logged[logged >= 0], minlength=int(codes.max(initial=-1)) + 1)
    if not counts.sum():
        return None
    order = np.argsort(-counts, kind="stable")
    # whole numbers are compared, so that a share of exactly 0.8 still belongs
    taken = max(1, int((np.cumsum(counts[order]) * 10 <= counts.sum() * round(MAJORITY_SHARE * 10)).sum()))
    member = np.zeros(len(counts) + 1, dtype=bool)  # the last entry stands for "no category": -1
    member[order[:taken]] = True
    return torch.from_numpy(member[codes].any(1))
