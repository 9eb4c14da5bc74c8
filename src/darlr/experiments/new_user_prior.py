"""The belief about a new user where a log with a block holds positives alone: which prior, chosen on the log.

Such a log shows no item that a user saw and did not like, so that its rows of 0 and 1 are no ratings. Besides them,
rows of the world model or of the table of neighbours can give the mean and the covariance of the prior. A share of the
users who may have logged the block's items is hidden, and everything is fitted to the rest. Greedy use of each belief
then plays sessions with the hidden users, in which an item pays and answers 1 where it was logged, and 0 where not. The
prior that earns most is taken. Answers of 0 count as the belief has them.

The hidden users are other people than those of the block, whom a new user resembles. Each of them therefore counts by
the ratio of both densities (Sugiyama, Krauledat and Mueller 2007, "Covariate shift adaptation by importance weighted
cross validation"), as a logistic regression on the events outside the block tells it (Bickel, Brueckner and Scheffer
2009, "Discriminative learning under covariate shift").
"""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, scope_of, without
from darlr.data.split import select
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import Truth
from darlr.options import TablesConfig, WorldModelConfig
from darlr.policies.bayes import Bayes
from darlr.simulation.exits import never
from darlr.simulation.leaving import logistic
from darlr.world.belief import Belief
from darlr.world.fit import fit_world
from darlr.world.fitted import FittedWorldModel
from darlr.world.fold_in import fold_in_of
from darlr.world.logged_neighbours import logged_feedback, logged_neighbour_table
from darlr.world.models.history import coordinates
from darlr.world.prior import belief_of, of_positives

Prior = Literal["events", "world model", "neighbours"]
PRIORS: dict[Prior, str] = {
    "events": "logged events",
    "world model": "the world model",
    "neighbours": "the table of neighbours",
}
SHARE, MOST, FEW = 0.2, 1000, 20  # of the users, who are hidden; the most of them, and below how many nothing is chosen
SIZE = 32  # coordinates of users' events, by which the densities are compared
METRIC = "new_users"  # what the fit of a world model says of the choice, in its metrics


def belief_about_new_users(fitted: FittedWorldModel, log: InteractionLog) -> Belief | None:
    """Return the belief that a run serves new users by. log: the events that the world model was fitted to.

    None for ratings and a world model without a posterior.
    """
    if not log.implicit:
        return belief_of(fitted.model, fitted.scale, log, fitted.answers)
    return of_prior(fitted.metrics.get(METRIC, {}).get("prior", "events"), fitted, log)


def of_prior(prior: Prior, fitted: FittedWorldModel, log: InteractionLog) -> Belief:
    """Return the belief of a log of positives whose prior is that of these rows; the latter two are the block's."""
    if prior == "events":
        return of_positives(log)
    rows = fitted.reward.whole()
    if prior == "neighbours":
        rows = logged_neighbour_table(log, scope_of(log), TablesConfig().logged_neighbours)
    fold = fold_in_of(rows, float(fitted.risk.whole().mean()), fitted.reward_range)
    return Belief(fold.mean, fold.factors, torch.full_like(fold.mean, fold.noise))


def chosen_prior(log: InteractionLog, config: WorldModelConfig) -> dict[str, Any]:
    """Return the choice as a metric of a world model of kind history. log, config: of its fit.

    prior: the one that earns most. earned: by each prior, the logged items that a session of 30 turns shows. Nothing is
    chosen, and the prior is that of events, where fewer than FEW users can be hidden.
    """
    scope = scope_of(log)
    drawn = np.random.default_rng(config.seed).permutation(scope.candidates(log))
    hidden = np.sort(drawn[: min(round(SHARE * len(drawn)), MOST)])
    if len(hidden) < FEW:
        return {"prior": "events"}
    weight = density_ratio(log, scope)[torch.from_numpy(hidden)]
    logged = logged_feedback(log, hidden, scope.items)[1]
    rest = without(log, hidden)
    fitted = fit_world(rest, select(rest, np.zeros(len(rest), dtype=bool)), replace(config, members=1))
    positive, earned = float(log.reward[0]), {}
    for prior in PRIORS:
        returns = sessions(of_prior(prior, fitted, rest), logged * positive) / positive
        earned[prior] = float((returns * weight).sum() / weight.sum())
    return {"prior": max(PRIORS, key=lambda prior: earned[prior]), "earned": earned}


def sessions(belief: Belief, rewards: Float[Tensor, "U I"]) -> Float[Tensor, " U"]:
    """Return what greedy use of a belief earns of new users with these rewards, in sessions without repeats."""
    nobody = torch.zeros(len(rewards), 0)
    policy = Bayes(belief.mean, belief.factors, belief.noise, nobody.long(), nobody, tempering=belief.tempering)
    truth = Truth(np.arange(len(rewards)), np.arange(rewards.shape[1]), rewards)
    return play(policy, truth, rewards.shape[1], never, mode="NX_0").returns


def density_ratio(log: InteractionLog, scope: Scope) -> Float[Tensor, " U"]:
    """Return the density of the scope's users over that of the others at the events of each user, up to a factor."""
    points = coordinates(log, scope.feedback_items(log), SIZE).double().numpy()
    points = (points - points.mean(0)) / points.std(0).clip(1e-9)
    wide = np.column_stack([points, np.ones(len(points))])
    weights, _ = logistic(wide, np.isin(np.arange(log.n_users), scope.users))
    return torch.from_numpy(np.exp(wide @ weights))


def told(choice: dict[str, Any]) -> str:
    """Return a sentence on the choice."""
    name = PRIORS[choice["prior"]]
    if "earned" not in choice:
        return f"new users: the prior of the belief is that of {name}, as the log has too few users to choose another"
    earned = {PRIORS[prior]: value for prior, value in choice["earned"].items()}
    others = ", ".join(f"{other} {value:.2f}" for other, value in earned.items() if other != name)
    return (
        f"new users: the prior of the belief is that of {name}, whose sessions with users hidden from a fit show "
        f"{earned[name]:.2f} items that these logged ({others})"
    )
