"""What a policy knows of sessions of cold-start users, and what a policy folder holds of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darlr.data.histories import last_events
from darlr.data.log import InteractionLog
from darlr.data.unit import Unit
from darlr.options import TrainConfig
from darlr.policies.bayes import LOGGED
from darlr.policies.index import zero_of
from darlr.policies.staying import Worlds, cost_of_leaving
from darlr.serving.policy_checks import check_number
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.exits import Exit, build_exit, in_unit, never
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.felt import FeltExit, LearnedExit, TiredExit
from darlr.simulation.hazard import NAMES, Hazard
from darlr.simulation.tiring import learned_fatigue
from darlr.world.belief import Belief

PREFIX = "dynamics."
HAZARD = ("weights", "item_mean", "member", "user")
FELT = ("threshold", "patience", "chance", "cut")
TABLES = ("costs", "newcomers")
TIRED = ("recovery", "strength", "least")


def dynamics_of(
    belief: Belief | None, log: InteractionLog, config: TrainConfig, spread: float = 1.0
) -> Dynamics | None:
    """What is known of sessions; None where they change nothing but what was shown, and where there is no belief.

    belief: about users, from which worlds are drawn that say what leaving costs. log: the events, in the unit of
    learning, which teach the exit rule and fatigue, and of whose users some are drawn. spread: see `Dynamics`.
    """
    if belief is None or not config.recommender.price:
        return None
    rule = in_unit(build_exit(config.session, log), learned=True)
    fatigue, turns = learned_fatigue(log, config.session), config.session.turns
    if not isinstance(rule, FeltExit | LearnedExit | TiredExit):
        return None if fatigue is None else Dynamics(fatigue=fatigue)
    known, nobody = Dynamics(rule, fatigue=fatigue), torch.zeros(1, 0)
    items, rewards = (part[np.unique(log.user)] for part in last_events(log, LOGGED))
    own = zero_of(log.unit), config.seed
    worlds = Worlds(belief, items, rewards, *own), Worlds(belief, nobody.long(), nobody, *own)
    tables = [config.recommender.price * cost_of_leaving(one, known, turns) for one in worlds]
    return replace(known, costs=tables[0], newcomers=tables[1], spread=spread)


def write_dynamics(known: Dynamics | None) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The tensors and the metadata of a policy folder."""
    if known is None:
        return {}, None
    rule = known.rule
    tensors: dict[str, Tensor] = {}
    about: dict[str, Any] = {"spread": known.spread, "rule": "never", "fatigue": None}
    tensors |= {name: value for name in TABLES if (value := getattr(known, name)) is not None}
    if known.fatigue is not None:
        tensors["tired"], about["fatigue"] = _tired(known.fatigue)
    if isinstance(rule, LearnedExit):
        hazard = rule.hazard
        tensors |= {name: getattr(hazard, name) for name in HAZARD}
        threshold = None if hazard.threshold == -torch.inf else hazard.threshold
        about |= {"rule": "learned", "threshold": threshold, "recovery": hazard.recovery}
    elif isinstance(rule, TiredExit):
        tensors["member"], numbers = _tired(rule.fatigue)
        about |= {"rule": "tired", "tired": numbers}
    elif isinstance(rule, FeltExit):
        about |= {"rule": "felt"} | {name: getattr(rule, name) for name in FELT}
    return {PREFIX + name: value for name, value in tensors.items()}, about


def read_dynamics(tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None) -> Dynamics | None:
    """The inverse of `write_dynamics`. Raises ValueError, KeyError or TypeError for contradictions."""
    if about is None:
        return None

    def number(name: str) -> float:
        return check_number(about[name], f"dynamics.{name}")

    def tired(name: str, numbers: Mapping[str, Any]) -> Fatigue:
        recovery, strength = (check_number(numbers[one], f"dynamics.{one}") for one in TIRED[:2])
        least = -torch.inf if numbers["least"] is None else check_number(numbers["least"], "dynamics.least")
        return Fatigue(tensors[PREFIX + name], recovery, strength, least)

    rule: Exit = never
    if about["rule"] == "learned":
        threshold = -torch.inf if about["threshold"] is None else number("threshold")
        weights, mean, member, user = (tensors[PREFIX + name] for name in HAZARD)
        if len(weights) != len(NAMES):
            raise ValueError(f"{PREFIX}weights holds {len(weights)} numbers, not {len(NAMES)}")
        rule = LearnedExit(Hazard(weights, threshold, mean, member, number("recovery"), user), Unit())
    elif about["rule"] == "tired":
        rule = TiredExit(tired("member", about["tired"]))
    elif about["rule"] == "felt":
        cut, threshold = None if about["cut"] is None else number("cut"), number("threshold")
        rule = FeltExit(threshold, threshold, int(number("patience")), number("chance"), cut)
    fatigue = None if about["fatigue"] is None else tired("tired", about["fatigue"])
    tables = [tensors.get(PREFIX + name) for name in TABLES]
    if any(table is not None and not (len(table) == 2 and table.numel()) for table in tables):
        raise ValueError(f"{PREFIX}costs holds no turns or no states")
    return Dynamics(
        rule, tables[0], fatigue, tables[1], check_number(about["spread"], "dynamics.spread", positive=True)
    )


def _tired(found: Fatigue) -> tuple[Tensor, dict[str, float | None]]:
    numbers = {name: getattr(found, name) for name in TIRED}
    return found.member, {name: None if value == -torch.inf else value for name, value in numbers.items()}
