"""Policies of the log's users as they serve users who are in no log."""

from dataclasses import replace

import torch
from torch import Tensor

from darlr.policies.bandits import UCB, EpsilonGreedy, LinUCB
from darlr.policies.bayes import Bayes
from darlr.policies.fixed import FixedList, UserGreedy
from darlr.simulation.policy import Policy, Translated
from darlr.world.estimates import Estimate, estimate_of

CELLS = 2**22  # estimates that are averaged at once
ROWS = {EpsilonGreedy: "table", UCB: "table", LinUCB: "prior"}  # the field with a row of estimates for each user


def mean_row(table: Estimate) -> Tensor:
    """The mean of the rows of all users, float32 [I]."""
    users, items = table.shape
    parts = torch.split(torch.arange(users, device=table.device), max(1, CELLS // items))
    total = torch.stack([table.rows(part).sum(0, dtype=torch.float64) for part in parts]).sum(0)
    return (total / users).float()


def for_new_users(policy: Policy, users: int) -> Policy:
    """The policy for `users` new users, of the codes 0 to users - 1.

    Where a policy has a row of estimates for each user, new users have the mean row. Where it has a posterior, they
    have its prior. Other policies know nothing of users, and stay as they are.
    """
    if isinstance(policy, Translated):
        return replace(policy, policy=for_new_users(policy.policy, users))
    if isinstance(policy, UserGreedy):
        return FixedList(mean_row(estimate_of(policy.table)))
    if isinstance(policy, Bayes):
        return replace(policy, items=torch.zeros(users, 0, dtype=torch.int64), rewards=torch.zeros(users, 0))
    name = ROWS.get(type(policy))
    if name is None:
        return policy
    return replace(policy, **{name: getattr(policy, name).mean(0).expand(users, -1)})  # type: ignore[type-var]
