"""What a policy knows of sessions of cold-start users, and what a policy folder holds of it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.unit import Unit
from darlr.options import TrainConfig
from darlr.policies.index import new_users_dynamics
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
TIRED = ("recovery", "strength", "least")


def dynamics_of(belief: Belief | None, log: InteractionLog, config: TrainConfig) -> Dynamics | None:
    """What is known of sessions; None where they change nothing but what was shown, and where there is no belief.

    belief: about new users, for whom c is chosen. log: the events, in the unit of learning, which teach the exit rule
    and fatigue.
    """
    if belief is None or not config.recommender.price:
        return None
    rule = in_unit(build_exit(config.session, log), learned=True)
    fatigue = learned_fatigue(log, config.session)
    if not isinstance(rule, FeltExit | LearnedExit | TiredExit):
        if fatigue is None:
            return None
        rule = never
    found = new_users_dynamics(belief, log.unit, rule, config.session.turns, fatigue)
    return Dynamics(rule, config.recommender.price * found.worth, fatigue, config.session.turns)


def write_dynamics(known: Dynamics | None) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The tensors and the metadata of a policy folder."""
    if known is None:
        return {}, None
    rule, tensors = known.rule, {}
    about: dict[str, Any] = {"worth": known.worth, "turns": known.turns, "rule": "never", "fatigue": None}
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
    turns = None if about["turns"] is None else int(number("turns"))
    return Dynamics(rule, number("worth"), fatigue, turns)


def _tired(found: Fatigue) -> tuple[Tensor, dict[str, float | None]]:
    numbers = {name: getattr(found, name) for name in TIRED}
    return found.member, {name: None if value == -torch.inf else value for name, value in numbers.items()}
