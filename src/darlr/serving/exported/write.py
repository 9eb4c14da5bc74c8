"""Writes an exported policy folder from a policy folder of PyTorch."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from darlr.agents.policy import RecommenderPolicy
from darlr.errors import ConfigError, MachineError
from darlr.io.files import digest, replacing
from darlr.io.folders import replacing_folder
from darlr.io.tensors import read_both, separate
from darlr.options import RecommenderConfig
from darlr.serving.exported.folder import GRAPH, METADATA, SCHEMA, TABLES
from darlr.serving.folder import METADATA as OF_TORCH
from darlr.serving.folder import REMEDY, WEIGHTS, read_policy
from darlr.serving.folder import SCHEMA as OF_FOLDER
from darlr.serving.policy_checks import CLOSED

KEPT = ("data", "unit", "logged_range", "user_ids", "item_ids", "newcomers", "leaving", "logged_is_trained")  # metadata
LEFT = ("weights.", CLOSED)  # the first parts of the names of tensors that the graph replaces


def export_onnx(source: Path, folder: Path) -> None:
    """Replace `folder` by the policy of the policy folder `source`, for ONNX Runtime.

    Raises ConfigError for a policy that cannot be exported, MachineError without the package onnx, and RunError.
    """
    tensors, metadata = read_both(source / WEIGHTS, source / OF_TORCH, REMEDY, "policy", OF_FOLDER)
    policy = read_policy(source)
    if policy.newcomers.closed_form is not None:
        raise ConfigError(
            "option onnx: the world model of this run estimates new users in closed form (a log of positives), which "
            "cannot be exported yet; export without onnx"
        )
    if metadata.get("dynamics") is not None:
        raise ConfigError(
            "option onnx: a policy that prices leaving (recommender.price) cannot be exported yet; export without onnx"
        )
    kept = {name: value for name, value in tensors.items() if not name.startswith(LEFT)}
    graph, settings = None, None
    if isinstance(policy.policy, RecommenderPolicy):
        kept = {name: value for name, value in kept.items() if name not in ("users", "items")}
        graph, more = _networks(policy.policy)
        settings = _settings(policy.policy.recommender.config)
        kept |= more
    with replacing_folder(folder) as draft:
        with replacing(draft / TABLES) as file:
            save_file(separate(kept), file)
        files = [TABLES]
        if graph is not None:
            (draft / GRAPH).write_bytes(graph)
            files.append(GRAPH)
        about = {name: metadata[name] for name in KEPT} | {"networks": settings}
        about |= {
            "reward_range": metadata.get("reward_range"),
            "schema": SCHEMA,
            "files": {name: digest(draft / name) for name in files},
        }
        (draft / METADATA).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n", "utf-8")


def _settings(config: RecommenderConfig) -> dict[str, Any]:
    """The options that the served networks need, so that those that are added later do not matter."""
    dim = config.tracker.dim if config.user_in_state else 0
    about = {"window": config.tracker.window, "dim": dim, "feedback": config.feedback_in_state}
    return {
        **about,
        "prior": config.prior or 0.0,
        "belief": config.belief,
        "caution": config.caution,
        "belief_scale": config.belief_scale,
    }


def _networks(policy: RecommenderPolicy) -> tuple[bytes, dict[str, Any]]:
    """The graph, and the tables that take the place of the networks' own."""
    try:
        from darlr.serving.exported.graph import build_graph
    except ModuleNotFoundError as error:
        raise MachineError("an export for ONNX Runtime needs the extra `onnx`: pip install 'darlr[onnx]'") from error
    agent = policy.recommender
    if agent.slates is not None:
        raise ConfigError(
            "option onnx: a policy with slates (recommender.slate) cannot be exported yet; export without onnx"
        )
    tables = {}
    with torch.inference_mode():
        if agent.user is not None:
            tables = {"own": agent.user(agent.users), "user.weight": agent.user.weight, "user.bias": agent.user.bias}
        if agent.config.prior:
            tables |= {"centre": agent.centre, "sharpness": agent.sharpness}
        return build_graph(agent, hidden=False), {name: value.detach().clone() for name, value in tables.items()}
