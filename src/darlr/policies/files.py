"""A fitted baseline on disk: tensors as safetensors, everything else as JSON."""

from pathlib import Path
from typing import Any

from torch import Tensor

from darlr.errors import RunError
from darlr.io.folders import replacing_folder
from darlr.io.tensors import read_both, write_both
from darlr.policies.bandits import UCB, EpsilonGreedy, LinUCB
from darlr.policies.bayes import Bayes
from darlr.policies.fixed import UserGreedy
from darlr.policies.index import Index
from darlr.policies.networks import Layers, NetworkPolicy, StateEncoder
from darlr.simulation.policy import Policy

TENSORS, METADATA = "baseline.safetensors", "baseline.json"
SCHEMA = 4
BELIEF = ("mean", "factors", "noise", "items", "rewards")
PLAIN: dict[str, tuple[type, tuple[str, ...], tuple[str, ...]]] = {  # kind -> class, tensors, numbers
    "user-greedy": (UserGreedy, ("table",), ()),
    "epsilon-greedy": (EpsilonGreedy, ("table",), ("epsilon", "seed")),
    "ucb": (UCB, ("table", "count"), ("scale", "c")),
    "linucb": (LinUCB, ("prior", "features"), ("noise", "alpha")),
    "bayes": (Bayes, BELIEF, ("drawn", "seed", "tempering")),
    "index": (Index, BELIEF, ("drawn", "seed", "tempering", "zero")),
}
NETWORK = "network"
REMEDY = "delete its folder and fit it again"


def save_baseline(policy: Policy, folder: Path) -> None:
    """Write a fitted baseline; it replaces an earlier one in the folder. Raises TypeError for other policies."""
    tensors, metadata = _split(policy)
    with replacing_folder(folder) as draft:
        write_both(draft / TENSORS, draft / METADATA, tensors, {"schema": SCHEMA, **metadata})


def load_baseline(folder: Path) -> Policy:
    """Read a baseline, without optional libraries. Raises RunError when it is missing or damaged."""
    try:
        tensors, metadata = read_both(folder / TENSORS, folder / METADATA, REMEDY, "baseline", SCHEMA)
        return _join(tensors, metadata)
    except FileNotFoundError as error:
        raise RunError(f"{folder}: no baseline here; fit it again") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder}: damaged baseline ({error!r}); {REMEDY}") from error


def _split(policy: Policy) -> tuple[dict[str, Tensor], dict[str, Any]]:
    for kind, (found, tensors, numbers) in PLAIN.items():
        if type(policy) is found:
            return {n: getattr(policy, n) for n in tensors}, {"kind": kind, **{n: getattr(policy, n) for n in numbers}}
    if not isinstance(policy, NetworkPolicy):
        raise TypeError(f"{type(policy).__name__} is not the policy of a baseline")
    state, layers = policy.encoder, {"value": policy.value, "actor": policy.actor}
    arrays = {
        f"{name}.{k}.{part}": array
        for name, stack in layers.items()
        for k, pair in enumerate(stack)
        for part, array in zip(("weight", "bias"), pair, strict=True)
    }
    metadata = {
        "kind": NETWORK,
        "head": policy.head,
        "low": state.low,
        "high": state.high,
        "window": state.window,
        "layers": {name: len(stack) for name, stack in layers.items()},
    }
    return {"vectors": state.vectors, **arrays}, metadata


def _join(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Policy:
    if metadata["kind"] != NETWORK:
        found, arrays, numbers = PLAIN[metadata["kind"]]
        policy: Policy = found(**{n: tensors[n] for n in arrays}, **{n: metadata[n] for n in numbers})
        return policy
    stacks: dict[str, Layers] = {
        name: [(tensors[f"{name}.{k}.weight"], tensors[f"{name}.{k}.bias"]) for k in range(count)]
        for name, count in metadata["layers"].items()
    }
    encoder = StateEncoder(tensors["vectors"], metadata["low"], metadata["high"], metadata["window"])
    return NetworkPolicy(encoder, metadata["head"], **stacks)
