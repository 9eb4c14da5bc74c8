"""The last events of each user, side by side."""

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import InteractionLog


def last_events(log: InteractionLog, most: int) -> tuple[Tensor, Tensor]:
    """The items and rewards of the last events of each user, [U, m], padded with -1 at the front, m <= `most`."""
    order = np.arange(len(log)) if log.timestamp is None else np.argsort(log.timestamp, kind="stable")
    order = order[np.argsort(log.user[order], kind="stable")]
    count = np.bincount(log.user, minlength=log.n_users)
    width = min(int(count.max(initial=0)), most)
    user = log.user[order]
    place = width - (np.cumsum(count)[user] - np.arange(len(order)))
    kept = place >= 0
    items, rewards = np.full((log.n_users, width), -1), np.zeros((log.n_users, width), np.float32)
    items[user[kept], place[kept]], rewards[user[kept], place[kept]] = log.item[order[kept]], log.reward[order[kept]]
    return torch.from_numpy(items), torch.from_numpy(rewards)
