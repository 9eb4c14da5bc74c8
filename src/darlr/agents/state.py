"""A learner as named tensors and back: what a checkpoint holds."""

from dataclasses import fields

import torch
from torch import Tensor, nn

from darlr.agents.learner import Learner
from darlr.errors import RunError
from darlr.io.checkpoint import generator_states, restore_generators


def _agents(learner: Learner) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
    agents: dict[str, tuple[nn.Module, torch.optim.Optimizer]] = {
        "recommender": (learner.recommender, learner.recommender_optimiser)
    }
    if learner.selector is not None and learner.selector_optimiser is not None:
        agents["selector"] = (learner.selector, learner.selector_optimiser)
    return agents


def _generators(learner: Learner) -> dict[str, torch.Generator]:
    """The learner's own, and PyTorch's on its device: dropout, where it is switched on, draws from that."""
    device = learner.tables.frozen.device
    own = {field.name: getattr(learner.generators, field.name) for field in fields(learner.generators)}
    if device.type != "cuda":
        return own | {"global": torch.default_generator}
    index = torch.cuda.current_device() if device.index is None else device.index
    return own | {"global": torch.cuda.default_generators[index]}


def state(learner: Learner) -> dict[str, Tensor]:
    """Weights, Adam moments, generators and the refined reward table."""
    tensors = generator_states(_generators(learner))
    if learner.refines:
        tensors["previous"] = learner.tables.previous
    for name, (networks, optimiser) in _agents(learner).items():
        tensors |= {f"{name}.{key}": value for key, value in networks.state_dict().items()}
        for index, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}.adam.{index}.{key}": value for key, value in moments.items()}
    return tensors


def load_state(learner: Learner, tensors: dict[str, Tensor]) -> None:
    """Bring a learner built from the same options to a saved state.

    Raises RunError when the tensors do not fit, as when the code that wrote them was another.
    """
    try:
        for name, (networks, optimiser) in _agents(learner).items():
            networks.load_state_dict({key: tensors[f"{name}.{key}"] for key in networks.state_dict()})
            optimiser.load_state_dict(_adam(optimiser, name, tensors))
        if learner.refines:
            learner.tables.previous.copy_(tensors["previous"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise RunError(
            f"the checkpoint does not fit this version of darlr ({error}); train in another folder"
        ) from error
    restore_generators(_generators(learner), tensors)


def _adam(optimiser: torch.optim.Optimizer, name: str, tensors: dict[str, Tensor]) -> dict[str, object]:
    saved = optimiser.state_dict()
    prefix = f"{name}.adam."
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, moment = key.removeprefix(prefix).split(".")
            moments.setdefault(int(index), {})[moment] = value
    return {"state": moments, "param_groups": saved["param_groups"]}
