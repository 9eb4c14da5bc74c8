"""A fitted baseline on disk: tensors in safetensors, everything else JSON."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from darlr.baselines.bandits import UCB, EpsilonGreedy
from darlr.baselines.linucb import LinUCB
from darlr.baselines.networks import Layers, NetworkPolicy
from darlr.baselines.sessions import StateEncoder
from darlr.errors import RunError
from darlr.files import atomic_write_text
from darlr.simulation.fixed import UserGreedy
from darlr.simulation.policy import Policy
from darlr.tensors import write_tensors

TENSORS, FACTS = "baseline.safetensors", "baseline.json"
SCHEMA = 1
PLAIN: dict[str, tuple[type, tuple[str, ...], tuple[str, ...]]] = {  # kind -> class, tensors, numbers
    "user-greedy": (UserGreedy, ("table",), ()),
    "epsilon-greedy": (EpsilonGreedy, ("table",), ("epsilon", "seed")),
    "ucb": (UCB, ("table", "count"), ("scale", "c")),
    "linucb": (LinUCB, ("prior", "features"), ("noise", "alpha")),
}
NETWORK = "network"


def save_baseline(policy: Policy, folder: Path) -> None:
    """Write a policy that a baseline's fit returned; the facts come last, so a killed save is no baseline."""
    tensors, facts = _split(policy)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACTS).unlink(missing_ok=True)
    write_tensors(folder / TENSORS, tensors)
    atomic_write_text(folder / FACTS, json.dumps({"schema": SCHEMA, **facts}, indent=2) + "\n")


def load_baseline(folder: Path) -> Policy:
    """Read what `save_baseline` wrote; no optional library is needed. RunError when it is missing or damaged."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if facts["schema"] != SCHEMA:
            raise ValueError(f"schema {facts['schema']}, not {SCHEMA}")
        return _join(load((folder / TENSORS).read_bytes()), facts)
    except FileNotFoundError as error:
        raise RunError(f"{folder}: no baseline here; fit it again") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder}: damaged baseline ({error}); fit it again") from error


def _split(policy: Policy) -> tuple[dict[str, Tensor], dict[str, Any]]:
    for kind, (found, tensors, numbers) in PLAIN.items():
        if type(policy) is found:
            return {n: getattr(policy, n) for n in tensors}, {"kind": kind, **{n: getattr(policy, n) for n in numbers}}
    if not isinstance(policy, NetworkPolicy):
        raise TypeError(f"no baseline: {type(policy).__name__}")
    state = policy.encoder
    layers = {"value": policy.value, "actor": policy.actor}
    arrays = {
        f"{name}.{k}.{part}": array
        for name, stack in layers.items()
        for k, pair in enumerate(stack)
        for part, array in zip(("weight", "bias"), pair, strict=True)
    }
    facts = {
        "kind": NETWORK,
        "head": policy.head,
        "low": state.low,
        "high": state.high,
        "window": state.window,
        "layers": {name: len(stack) for name, stack in layers.items()},
    }
    return {"vectors": state.vectors, **arrays}, facts


def _join(tensors: dict[str, Tensor], facts: dict[str, Any]) -> Policy:
    if facts["kind"] != NETWORK:
        found, arrays, numbers = PLAIN[facts["kind"]]
        policy: Policy = found(**{n: tensors[n] for n in arrays}, **{n: facts[n] for n in numbers})
        return policy
    stacks: dict[str, Layers] = {
        name: [(tensors[f"{name}.{k}.weight"], tensors[f"{name}.{k}.bias"]) for k in range(count)]
        for name, count in facts["layers"].items()
    }
    encoder = StateEncoder(tensors["vectors"], facts["low"], facts["high"], facts["window"])
    return NetworkPolicy(encoder, facts["head"], **stacks)
