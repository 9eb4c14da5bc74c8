"""Item features as vectors of numbers, for distances between items and for the preferences of users."""

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.errors import ConfigError


def feature_vectors(log: InteractionLog) -> Tensor:
    """Item features as float32 [I, d]: one-hot for categories, scaled to 0..1 for numbers (missing = 0)."""
    parts = []
    for column in log.item_features:
        values = np.asarray(column.values)
        if column.kind == "numeric":
            known = values[~np.isnan(values)]
            low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
            parts.append(np.nan_to_num((values - low) / max(high - low, 1e-12))[:, None])
            continue
        codes = values[:, None] if values.ndim == 1 else values
        hot = np.zeros((log.n_items, len(column.vocabulary) + 1))
        np.put_along_axis(hot, codes % hot.shape[1], 1.0, axis=1)  # -1 lands in the last column
        parts.append(hot[:, :-1])
    if not parts:
        raise ConfigError("option session.exit: a distance exit needs item features, and this data set has none")
    return torch.tensor(np.concatenate(parts, axis=1), dtype=torch.float32)
