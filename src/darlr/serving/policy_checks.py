"""Checks of a policy folder before anything is built from it, because it may come from anywhere.

Their errors become a RunError in `darlr.serving.folder.read_policy`.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

Arrays = Mapping[str, NDArray[Any]]
BLOCK = 1 << 20  # numbers that are checked at once
MOST_ITEMS = 10_000  # the largest window, which no tensor bounds
MOST_FACTORS = 1_000  # the most coordinates of a cold-start user; a matrix of their square is built
CLOSED = "closed_form."  # the first part of the names of the tables of a world model that folds new users in itself
ROWS = tuple(f"{CLOSED}{side}_{part}" for side in ("history", "ease") for part in ("start", "column"))
WHOLE_NUMBERS = ("bits", "logged.start", "trained.start", "feedback.columns", *ROWS)
CODES = ("logged.items", "trained.items")


def check_tensors(tensors: Arrays) -> None:
    """Raise ValueError unless all are finite float32, except WHOLE_NUMBERS, of int64, and CODES, of int32."""
    for name, tensor in tensors.items():
        whole = np.int64 if name in WHOLE_NUMBERS else np.int32
        if tensor.dtype != (whole if name in WHOLE_NUMBERS + CODES else np.float32):
            raise ValueError(f"{name} is of type {tensor.dtype}")
        flat = tensor.reshape(-1)
        if not all(np.isfinite(flat[at : at + BLOCK]).all() for at in range(0, len(flat), BLOCK)):
            raise ValueError(f"{name} has a NaN or infinite value")


def check_shapes(tensors: Arrays, feedback: Mapping[str, Any] | None, users: int, items: int) -> None:
    """Raise ValueError unless all tensors fit so many users and items, and codes are codes of items.

    feedback: the metadata of the feedback vectors. A `table` may have one row for all users.
    """
    factors = tensors["fold.factors"].shape[-1]
    if factors > MOST_FACTORS:
        raise ValueError(f"fold.factors has {factors} columns, more than {MOST_FACTORS}")
    wanted: dict[str, tuple[int | None, ...]] = {
        "users": (users, None),
        "items": (items, None),
        "reward": (users, items),
        "theta": (users, factors),
        "preference": (items, None),
        "bits": (items, None),
        "table": (1 if "table" in tensors and len(tensors["table"]) == 1 else users, items),
        "logged.start": (users + 1,),
        "logged.items": (None,),
        "trained.start": (users + 1,),
        "trained.items": (None,),
        "certainty": (items,),
        "fold.mean": (items,),
        "fold.factors": (items, factors),
        "belief.mean": (items,),
        "belief.factors": (items, None),
        "belief.noise": (items,),
        "belief.tempering": (),
        "dynamics.item_mean": (items,),
        "dynamics.member": (items, None),
        "dynamics.user": (None,),
        "dynamics.costs": (2, None, None),
        "dynamics.newcomers": (2, None, None),
        "risk": (users, items),
        "dynamics.tired": (items, None),
        "dynamics.weights": (None,),
        "carried.mean": (items,),
        "carried.weight": (factors, items),
    }
    if feedback is not None:
        width = items if feedback["predicted"] else len(tensors["feedback.columns"])
        wanted |= {f"feedback.{name}": (width,) for name in ("centre", "mean", "columns")} | {"users": (users, width)}
        if "feedback.strength" in tensors:
            wanted |= {f"feedback.{name}": (factors,) for name in ("mean", "strength")} | {"users": (users, factors)}
            wanted |= {f"feedback.{name}": (0,) for name in ("centre", "columns")}
        _check_codes(tensors, "feedback.columns", -1, items)
    if f"{CLOSED}items" in tensors:
        members, _, size = tensors[f"{CLOSED}items"].shape
        shapes: dict[str, tuple[int | None, ...]] = {"items": (members, items, size), "users": (members, 1, size)}
        shapes |= {"scale": (items,), "decay": (2,), "ease_start": (items + 1,), "history_start": (1,)}
        shapes |= dict.fromkeys(("blend", "slope", "offset"), ()) | {"history_column": (0,), "history_weight": (0,)}
        shapes["ease_weight"] = (len(tensors[f"{CLOSED}ease_column"]),)
        wanted |= {f"{CLOSED}{name}": shape for name, shape in shapes.items()}
        _check_codes(tensors, f"{CLOSED}ease_column", 0, items)
        _check_lists(tensors, f"{CLOSED}ease_start", f"{CLOSED}ease_column")
    for name, shape in wanted.items():
        found = tuple(tensors[name].shape) if name in tensors else shape
        if len(found) != len(shape) or any(n not in (None, m) for n, m in zip(shape, found, strict=True)):
            raise ValueError(f"{name} is of shape {found}, not {shape}")
    for name in ("logged", "trained") if "trained.start" in tensors else ("logged",):
        _check_codes(tensors, f"{name}.items", 0, items)
        _check_lists(tensors, f"{name}.start", f"{name}.items")


def _check_lists(tensors: Arrays, start: str, listed: str) -> None:
    first, count = tensors[start], len(tensors[listed])
    if int(first[0]) != 0 or int(first[-1]) != count or bool((np.diff(first) < 0).any()):
        raise ValueError(f"{listed} do not begin and end where they should")


def _check_codes(tensors: Arrays, name: str, least: int, items: int) -> None:
    codes = tensors[name]
    if len(codes) and not least <= int(codes.min()) <= int(codes.max()) < items:
        raise ValueError(f"{name} are not codes of {items} items")


def check_sizes(recommender: Any, tensors: Mapping[str, Any]) -> None:
    """Raise ValueError where the options, as JSON, ask for more layers than there are tensors, or for a huge window."""
    tracker, hidden = recommender["tracker"], recommender["a2c"]["hidden"]
    if not tracker["layers"] <= len(tensors) or not len(hidden) <= len(tensors):
        raise ValueError("its options ask for more layers than there are weights")
    if not tracker["window"] <= MOST_ITEMS:
        raise ValueError(f"a window of {tracker['window']} items, more than {MOST_ITEMS}")


def check_ids(ids: Any, side: str) -> list[str] | list[int]:
    """The ids. Raises ValueError unless there is one or more, all different, and all text or all integers."""
    if not isinstance(ids, list) or not ids:
        raise ValueError(f"{'an empty' if isinstance(ids, list) else 'no'} list of {side} ids")
    if {type(one) for one in ids} not in ({str}, {int}):
        raise ValueError(f"{side} ids must be all text or all integers")
    if len(set(ids)) != len(ids):
        raise ValueError(f"{side} ids repeat")
    return ids


def check_range(found: Any) -> tuple[float, float]:
    """The lowest and the highest reward. Raises ValueError unless both are finite and the first is below the second."""
    low, high = (check_number(one, "reward_range") for one in found)
    if not low < high:
        raise ValueError(f"reward_range {low} to {high} is empty")
    return low, high


def check_leaving(found: Any) -> tuple[int, float] | None:
    """The window and the threshold of the exit rule. Raises ValueError unless a session can have them."""
    if found is None:
        return None
    window, threshold = (check_number(one, "leaving") for one in found)
    if not (1 <= window <= MOST_ITEMS and window == int(window) and 0 <= threshold <= MOST_ITEMS):
        raise ValueError(f"leaving {found!r} is no window and threshold")
    return int(window), threshold


def check_weights(network: "nn.Module", weights: Mapping[str, Any]) -> None:
    """Raise ValueError unless `network`, built without memory of its own, takes exactly these weights."""
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    if wanted != found:
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise ValueError(f"weights do not fit the options ({', '.join(differing[:3])})")


def check_variances(found: Any, name: str) -> Any:
    """The variances. Raises ValueError unless all are above 0."""
    if not bool((found > 0).all()):
        raise ValueError(f"{name} holds a variance that is not positive")
    return found


def check_number(value: Any, what: str, *, positive: bool = False) -> float:
    """The number. Raises ValueError unless it is a finite number, and, if asked, above 0."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{what} must hold finite numbers, not {value!r:.40}")
    if positive and not value > 0:
        raise ValueError(f"{what} must be above 0, not {value}")
    return float(value)
