"""What a policy folder must hold before anything is built from it: it may come from anywhere.

Whatever is wrong raises an error that `darlr.serving.folder.read_policy` turns into a RunError.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

MOST_ITEMS = 10_000  # of a window that no tensor bounds
MOST_FACTORS = 1_000  # of a new user's coordinates: a matrix of their square is built
WHOLE_NUMBERS = ("bits", "logged.start", "logged.items", "feedback.columns")


def check_tensors(tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless all are finite float32, except WHOLE_NUMBERS, which are int64."""
    for name, tensor in tensors.items():
        if tensor.dtype != (torch.int64 if name in WHOLE_NUMBERS else torch.float32):
            raise ValueError(f"{name} is of type {tensor.dtype}")
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} has a NaN or infinite value")


def check_rows(tensors: Mapping[str, Tensor], users: int, items: int) -> None:
    """Raise ValueError unless the tables are of so many users and items; `table` may have one row for everybody."""
    rows = {"users": users, "items": items, "reward": users, "preference": items, "bits": items, "table": users}
    for name, count in rows.items():
        shape = tuple(tensors[name].shape) if name in tensors else (count, items)
        if len(shape) != 2 or (shape[0] != count and not (name == "table" and shape[0] == 1)):
            if name in ("users", "items") and len(shape) == 2:
                raise ValueError(f"{count} {name[:-1]} ids for {shape[0]} {name}")
            raise ValueError(f"{name} is of shape {shape}, not {count} rows")
        if name in ("reward", "table") and shape[1] != items:
            raise ValueError(f"{name} is of shape {shape}, not {users} x {items}")


def check_logged(start: Tensor, items: Tensor, n_users: int, n_items: int) -> None:
    """Raise ValueError unless items[start[u] : start[u + 1]] are item codes for every user u."""
    if tuple(start.shape) != (n_users + 1,) or items.ndim != 1:
        raise ValueError(f"logged items are of shapes {tuple(start.shape)} and {tuple(items.shape)}")
    if int(start[0]) != 0 or int(start[-1]) != len(items) or bool((start.diff() < 0).any()):
        raise ValueError("logged items do not begin and end where they should")
    if len(items) and not 0 <= int(items.min()) <= int(items.max()) < n_items:
        raise ValueError(f"logged items are not codes of {n_items} items")


def check_newcomers(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], n_items: int) -> None:
    """Raise ValueError unless what answers users in no log is of fitting shapes, and its numbers are usable."""
    factors, noise = tensors["fold.factors"], _number(metadata["noise"], "noise")
    wanted = {"fold.mean": (n_items,), "fold.factors": (n_items, factors.shape[-1])}
    if "carried.mean" in tensors:
        wanted |= {"carried.mean": (n_items,), "carried.weight": (factors.shape[-1], n_items)}
    if metadata["feedback"] is not None:
        columns = tensors["feedback.columns"]
        wanted |= {f"feedback.{name}": (len(columns),) for name in ("centre", "mean", "columns")}
        if len(columns) and not -1 <= int(columns.min()) <= int(columns.max()) < n_items:
            raise ValueError(f"feedback.columns are not codes of {n_items} items")
        if metadata["feedback"]["predicted"] and len(columns) != n_items:
            raise ValueError(f"feedback is of {len(columns)} items, not {n_items}")
        if "users" in tensors and len(columns) != tensors["users"].shape[1]:
            raise ValueError(f"feedback is of {len(columns)} items, and that of users of {tensors['users'].shape[1]}")
        _positive(metadata["feedback"]["scale"], "scale")
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{name} is of shape {tuple(tensors[name].shape)}, not {shape}")
    if factors.shape[-1] > MOST_FACTORS:
        raise ValueError(f"fold.factors has {factors.shape[-1]} columns, more than {MOST_FACTORS}")
    _positive(noise, "noise")
    check_range(metadata["range"])


def check_sizes(recommender: Any, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError where the options ask for more layers than there are tensors, or for an endless window.

    recommender: the options as JSON, before anything of their size is made.
    """
    tracker, hidden = recommender["tracker"], recommender["a2c"]["hidden"]
    if not tracker["layers"] <= len(tensors) or not len(hidden) <= len(tensors):
        raise ValueError("its options ask for more layers than there are weights")
    if not tracker["window"] <= MOST_ITEMS:
        raise ValueError(f"a window of {tracker['window']} items, more than {MOST_ITEMS}")


def check_ids(ids: Any, side: str) -> list[str] | list[int]:
    """The ids as they are; raises ValueError unless they are different ones, at least one, all text or all integers."""
    if not isinstance(ids, list) or not ids:
        raise ValueError(f"{'an empty' if isinstance(ids, list) else 'no'} list of {side} ids")
    if {type(one) for one in ids} not in ({str}, {int}):
        raise ValueError(f"{side} ids must be all text or all integers")
    if len(set(ids)) != len(ids):
        raise ValueError(f"{side} ids repeat")
    return ids


def check_range(found: Any) -> tuple[float, float]:
    """(lowest, highest) reward; raises ValueError unless both are finite numbers and the first is below the second."""
    low, high = (_number(one, "reward_range") for one in found)
    if not low < high:
        raise ValueError(f"reward_range {low} to {high} is empty")
    return low, high


def check_leaving(found: Any) -> tuple[int, float] | None:
    """Window and threshold of the exit rule; raises ValueError unless they can be those of a session."""
    if found is None:
        return None
    window, threshold = (_number(one, "leaving") for one in found)
    if not (1 <= window <= MOST_ITEMS and window == int(window) and 0 <= threshold <= MOST_ITEMS):
        raise ValueError(f"leaving {found!r} is no window and threshold")
    return int(window), threshold


def check_weights(network: torch.nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless `network`, built without memory of its own, takes exactly these weights."""
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    if wanted != found:
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise ValueError(f"weights do not fit the options ({', '.join(differing[:3])})")


def _positive(value: Any, what: str) -> None:
    if not _number(value, what) > 0:
        raise ValueError(f"{what} must be above 0, not {value}")


def _number(value: Any, what: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{what} must hold finite numbers, not {value!r:.40}")
    return value  # type: ignore[no-any-return]
