"""What a method pays, in the log's unit, for agents from elsewhere (`darlr.simulation.gym`)."""

from dataclasses import replace

import torch
from torch import Tensor

from darlr.agents.references import build_references
from darlr.data.unit import Unit
from darlr.methods import Step, find
from darlr.options import TrainConfig
from darlr.simulation.gym import Paid, RewardSource
from darlr.world.tables import World


def method_rewards(world: World, config: TrainConfig, unit: Unit) -> RewardSource:
    """The rewards of the method that `config` names: r - lambda_U P_U + lambda_E P_E, without the shift.

    Where the method has reference users and an agent learns to pick them, the nearest users stand in for its picks.
    Its tables stay as they are before training. unit: of the log's rewards; what is paid is shown in it.
    """
    method, generator = find(config.method), torch.Generator(config.device).manual_seed(config.seed)
    tables, references = method.tables(world, config), None
    if method.references:
        kind = "nearest" if config.selector.kind == "learned" else config.selector.kind
        references = build_references(world, replace(config.selector, kind=kind))

    def pays(user: Tensor, item: Tensor, last: Tensor) -> Paid:
        picked = None if references is None else references(user, generator)
        shaped = method.pay(tables, Step(user, item, last, picked), config.reward)
        return Paid(unit.show(shaped.estimate), unit.show(shaped.reward(config.reward)))

    return pays
