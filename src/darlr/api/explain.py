"""Why an item is recommended: the reference users, the dynamic reward, its penalty, and whether the user leaves."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import polars as pl
import torch
from torch import Tensor

from darlr.agents.learner import Learner, build_learner, build_simulator, load_state
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.references import attended
from darlr.agents.rollout import Simulator
from darlr.agents.selector import pick_draws, select
from darlr.errors import DataError, RunError
from darlr.experiments.finished import FinishedRun
from darlr.experiments.world import paid_world
from darlr.methods import References, Step, find
from darlr.serving.given import Pairs, read_history, warn_of_unknown
from darlr.serving.ids import Id, Ids
from darlr.simulation.exits import Exit, build_exit, never
from darlr.simulation.session import Session, last_items, reset, show


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why an item has its place among the recommendations to a user in a session; rewards are in the log's unit.

    rank, score: the item's rank among the items that are left, and its score, the policy's logit. propensity: the
    probability that the strategy `sample` shows it next. world_model: r0, the estimate of the world model. references:
    a frame of the reference users, with `user`, `similarity`, the cosine of the feedback vectors, and `estimate`, that
    of the reference user's reward; empty where the method picks none. reward: r, the estimate that the method learns
    from (Eq. 15 for DARLR). penalty: lambda_U P_U, subtracted for uncertainty (Eq. 16 for DARLR). bonus: lambda_E P_E,
    added for a choice of high entropy. leaves: whether the item would end the session; None without an exit rule.
    """

    user: str | int
    item: str | int
    rank: int
    score: float
    propensity: float
    world_model: float
    references: pl.DataFrame
    reward: float
    penalty: float
    bonus: float
    leaves: bool | None

    @property
    def paid(self) -> float:
        """The reward that the recommender agent learns from: reward - penalty + bonus."""
        return self.reward - self.penalty + self.bonus

    def __str__(self) -> str:
        """The explanation in sentences."""
        lines = [
            f"Item {self.item!r} has rank {self.rank} for user {self.user!r}. "
            f"The strategy `sample` shows it next with probability {self.propensity:.3g}.",
            f"The world model expects a reward of {self.world_model:.4g}.",
        ]
        if len(self.references):
            estimates = self.references["estimate"].to_list()
            lines.append(
                f"The estimates of {len(estimates)} reference users go from {min(estimates):.4g} to "
                f"{max(estimates):.4g}; the method learns from a reward of {self.reward:.4g}."
            )
        elif self.reward != self.world_model:
            lines.append(f"The method learns from an estimate of {self.reward:.4g}.")
        lines.append(f"A penalty of {self.penalty:.3g} is taken off for uncertainty.")
        if self.bonus:
            lines.append(f"A bonus of {self.bonus:.3g} is added for an unusual choice.")
        if self.leaves is not None:
            lines.append("It would end the session." if self.leaves else "It would not end the session.")
        return " ".join(lines)


class Explained(NamedTuple):
    """The estimate, the penalty and the bonus of one step, one number each, and its references, if any."""

    estimate: Tensor
    penalty: Tensor
    bonus: Tensor
    references: References | None


@dataclass(frozen=True)
class Explainer:
    """Explains items of one run. learner: its state of training. leaving: the exit rule of its sessions."""

    run: FinishedRun
    learner: Learner
    simulator: Simulator
    leaving: Exit

    def explain(self, user: Id, item: Id, history: Pairs | None = None) -> Explanation:
        """The explanation of one item for one user of the log. history: (item, reward) pairs, oldest first.

        Unknown items of the history are left out and named in a DarlrWarning. Raises DataError for an unknown user or
        item, ConfigError for a history that cannot be read.
        """
        log, unit = self.run.logs.unseen_in_scope, self.run.logs.unit
        items = self._items
        who, what = _known(self._users, user, "user"), _known(items, item, "item")
        session = reset(torch.tensor([who]), log.n_items, self.run.config.train.session.turns)
        events = [(name, items.code(name), reward) for name, reward in read_history(history or (), *unit.bounds)]
        warn_of_unknown("history", [name for name, code, _ in events if code is None])
        for _, code, reward in events:
            if code is not None:
                learned = unit.learn(torch.tensor([reward], dtype=torch.float64)).float()
                session = show(session, torch.tensor([code]), learned, torch.tensor([False]))
        return self._explained(session, who, what)

    @cached_property
    def _users(self) -> Ids:
        return Ids(self.run.logs.unseen_in_scope.user_ids)

    @cached_property
    def _items(self) -> Ids:
        return Ids(self.run.logs.unseen_in_scope.item_ids)

    def step(self, session: Session, item: int) -> Explained:
        """The reward of one item in a session of one user; references are drawn as in training, from the run's seed.

        The selector and r_prev are those of the last epoch.
        """
        config, tables = self.run.config.train, self.learner.tables
        method, action = find(config.method), torch.tensor([item])
        references = self._references(session, action)
        shaped = method.pay(tables, Step(session.user, action, session.items[:, -1], references), config.reward)
        penalty, bonus = config.reward.lambda_u * shaped.uncertainty, config.reward.lambda_e * shaped.entropy
        return Explained(shaped.estimate, penalty, bonus, references)

    def _references(self, session: Session, action: Tensor) -> References | None:
        learner, generator = self.learner, torch.Generator().manual_seed(self.run.config.train.seed)
        if self.simulator.references is not None:
            return self.simulator.references(session.user, generator)
        if self.simulator.attends:
            return attended(self.simulator.world, self.simulator.picks, session, action)
        if learner.selector is None:
            return None
        with torch.no_grad():
            decision = learner.recommender(learner.recommender.observe(session))
            draws = pick_draws(learner.selector, 1, generator, session.user.device)
            start, world = learner.tables.start, self.simulator.world
            return select(learner.selector, world, start, decision.state, session.user, action, draws)[0]

    def _explained(self, session: Session, user: int, item: int) -> Explanation:
        run, step, rule = self.run, self.step(session, item), self.leaving
        log, unit = run.logs.unseen_in_scope, run.logs.unit
        with torch.no_grad():
            scores = RecommenderPolicy(run.recommender).scores(session)[0]
        allowed = ~session.seen[0] | (torch.arange(len(scores)) == item)
        chances = scores.masked_fill(~allowed, -torch.inf).softmax(0)
        rank = int((allowed & (scores > scores[item])).sum()) + 1
        picked = [] if step.references is None else step.references.users[0].tolist()
        if step.references is not None and step.references.shift is not None:
            picked = [one for one in picked if one != user]  # fewer users than K have a weight
        of_item = torch.tensor(item)
        starts = self.learner.tables.start.pairs(torch.tensor(picked, dtype=torch.int64), of_item)
        frozen = run.world.reward.pairs(torch.tensor(user), of_item)
        leaves = None if rule is never else bool(rule.leaves(last_items(session, rule.window), of_item[None]))
        references = {
            "user": [log.user_ids[one] for one in picked],
            "similarity": [float(run.world.similarity(session.user, torch.tensor([one]))) for one in picked],
            "estimate": [unit.show(one) for one in starts.tolist()],
        }
        frame = pl.DataFrame(references, schema_overrides={"similarity": pl.Float64, "estimate": pl.Float64})
        expected, reward = (float(unit.show(float(one))) for one in (frozen, step.estimate))
        penalty, bonus = unit.scale * float(step.penalty), unit.scale * float(step.bonus)
        score, chance = float(scores[item]), float(chances[item])
        return Explanation(
            log.user_ids[user], log.item_ids[item], rank, score, chance, expected, frame, reward, penalty, bonus, leaves
        )


def explainer(run: FinishedRun) -> Explainer:
    """What explains the items of a run. Raises RunError where the checkpoint is missing."""
    config, found = run.config.train, run.checkpoint()
    if found is None:
        raise RunError(
            f"{run.name}: its checkpoint is missing, which explanations need; if the folder was moved, load it from "
            "where it is now, else train again"
        )
    world = paid_world(run.world, run.logs, run.config)
    learner = build_learner(world, config)
    load_state(learner, found[0])
    simulator = build_simulator(world, learner.tables, never, config)
    return Explainer(run, learner, simulator, build_exit(config.session, run.logs.catalogue))


def _known(ids: Ids, name: Id, what: str) -> int:
    code = ids.code(name)
    if code is None:
        raise DataError(f"{what} {name!r} is not in the log that the recommender learned from; name one that is")
    return code
