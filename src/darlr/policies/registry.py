"""Every baseline by name: bandits, model-free learners and supervised recommenders."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from darlr.errors import ConfigError
from darlr.policies.bandits import fit_epsilon_greedy, fit_linucb, fit_ucb
from darlr.policies.bayes import fit_bayes
from darlr.policies.index import fit_index
from darlr.policies.model_free import fit_bcq, fit_cql, fit_crr, fit_sqn
from darlr.policies.supervised import fit_ease, fit_implicit, fit_item_knn, fit_matrix_factorisation
from darlr.simulation.policy import Policy
from darlr.world.context import Context


@dataclass(frozen=True)
class Baseline:
    """A baseline of the comparison.

    fit: (context, seed, and its own options such as steps or c) -> policy; the same seed gives the same policy.
    exit_aware: whether it may also be played with items that end the session ranked last. greedy: whether it is played
    greedily; its own exploration is then part of its scores. needs_world: whether it reads the world model's tables.
    reported: whether reports on users' next items include it. blind: whether it is played without the exit rule, too.
    """

    name: str
    title: str
    fit: Callable[..., Policy]
    exit_aware: bool = True
    greedy: bool = True
    needs_world: bool = True
    reported: bool = False
    blind: bool = True


BASELINES: dict[str, Baseline] = {
    row.name: row
    for row in (
        Baseline("epsilon-greedy", "epsilon-greedy on the world model", fit_epsilon_greedy),
        Baseline("ucb", "UCB on the world model", fit_ucb),
        Baseline("linucb", "LinUCB", fit_linucb),
        Baseline("linear-greedy", "LinUCB, greedy (alpha = 0)", partial(fit_linucb, alpha=0.0)),
        Baseline("bayes-greedy", "Bayes greedy", fit_bayes, needs_world=False),
        Baseline("index", "index of staying", fit_index, needs_world=False, blind=False),
        Baseline("thompson", "Thompson sampling", partial(fit_bayes, drawn=True), needs_world=False),
        Baseline("sqn", "SQN", fit_sqn),
        Baseline("bcq", "BCQ", fit_bcq),
        Baseline("cql", "CQL", fit_cql),
        Baseline("crr", "CRR", fit_crr),
        Baseline("mf", "matrix factorisation (SVD with biases)", fit_matrix_factorisation, needs_world=False),
        Baseline("als", "implicit ALS", fit_implicit, needs_world=False, reported=True),
        Baseline("item-knn", "item-kNN", fit_item_knn, needs_world=False, reported=True),
        Baseline("ease", "EASE", fit_ease, needs_world=False, reported=True),
    )
}


def fit_baseline(name: str, context: Context, seed: int = 0) -> Policy:
    """Fit the baseline of that name; ConfigError for an unknown name."""
    if name not in BASELINES:
        raise ConfigError(f"no baseline is called {name!r}; there are {', '.join(BASELINES)}")
    return BASELINES[name].fit(context, seed)
