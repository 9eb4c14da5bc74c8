"""Every baseline by name: bandits, model-free agents, supervised rankings."""

from collections.abc import Callable
from dataclasses import dataclass

from darlr.errors import ConfigError
from darlr.policies.bandits import fit_epsilon_greedy, fit_ucb
from darlr.policies.crr import fit_crr
from darlr.policies.ease import fit_ease
from darlr.policies.linucb import fit_linear_greedy, fit_linucb
from darlr.policies.offline import fit_bcq, fit_cql
from darlr.policies.sqn import fit_sqn
from darlr.policies.supervised import fit_implicit, fit_matrix_factorisation
from darlr.simulation.policy import Policy
from darlr.world.context import Context


@dataclass(frozen=True)
class Baseline:
    """One row of the comparison.

    fit: (context, seed, and options of its own such as steps or c) -> policy; the same seed gives the same policy.
    greedy: to be played greedily (its own exploration lies in its scores). exit_aware: may be played exit-aware too.
    needs_world: reads the world model's tables. reported: whether reports on users' next items have it as a row.
    """

    name: str
    title: str
    fit: Callable[..., Policy]
    exit_aware: bool = True
    greedy: bool = True
    needs_world: bool = True
    reported: bool = False


BASELINES: dict[str, Baseline] = {
    row.name: row
    for row in (
        Baseline("epsilon-greedy", "epsilon-greedy on the world model", fit_epsilon_greedy),
        Baseline("ucb", "UCB on the world model", fit_ucb),
        Baseline("linucb", "LinUCB", fit_linucb),
        Baseline("linear-greedy", "LinUCB, greedy (alpha = 0)", fit_linear_greedy),
        Baseline("sqn", "SQN", fit_sqn),
        Baseline("bcq", "BCQ", fit_bcq),
        Baseline("cql", "CQL", fit_cql),
        Baseline("crr", "CRR", fit_crr),
        Baseline("mf", "matrix factorisation (SVD with biases)", fit_matrix_factorisation, needs_world=False),
        Baseline("als", "implicit ALS", fit_implicit, needs_world=False, reported=True),
        Baseline("ease", "EASE", fit_ease, needs_world=False, reported=True),
    )
}


def fit_baseline(name: str, context: Context, seed: int = 0) -> Policy:
    """Fit the baseline called `name`; ConfigError when there is none."""
    if name not in BASELINES:
        raise ConfigError(f"no baseline is called {name!r}; there are {', '.join(BASELINES)}")
    return BASELINES[name].fit(context, seed)
