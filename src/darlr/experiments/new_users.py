"""How the rows of a table serve new users, who were hidden from training and play with an empty history."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from darlr.agents.recommender import Recommender
from darlr.evaluation.lists import Entry, exit_aware
from darlr.experiments.finished import FinishedRun
from darlr.experiments.logs import Logs
from darlr.options import RunConfig, Users
from darlr.policies.fixed import UserGreedy
from darlr.serving.folder import content, served
from darlr.serving.newcomers import Newcomers, read_newcomers, write_newcomers
from darlr.simulation.policy import Policy, translated
from darlr.simulation.session import Session
from darlr.world.estimates import Estimate, estimate_of
from darlr.world.tables import World

SHARE = 0.2  # of the users, who are hidden where `users` asks for new ones and the options do not say how many


@dataclass(frozen=True)
class FoldedIn:
    """A policy that is built anew at each turn for what the session has shown, as it is served to cold-start users."""

    newcomers: Newcomers

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I]."""
        alone = replace(session, user=torch.arange(len(session.user)))
        return self.newcomers.policy(session.items, session.rewards).scores(alone)


def served_to_new(run: FinishedRun, recommender: Recommender) -> Policy:
    """The policy of a recommender of this run for new users, in the log's unit of rewards."""
    found = served(content(recommender, run.world, run.logs.known, run.config.train, run.closed_form))
    return translated(FoldedIn(found.newcomers), run.logs.unit)


# Baselines that reports on new users have, by their names in `darlr.policies.registry`.
BAYES = {"bayes-greedy": "Bayes greedy", "index": "index of staying", "thompson": "Thompson sampling"}


def bayes_rows(runs: Sequence[FinishedRun], *, exits: bool, avoid: bool = True, new: bool = False) -> list[Entry]:
    """Rows of policies on an exact posterior about the user, one policy for each log.

    exits: whether users can leave. avoid: whether all rows have exit-aware twins, or only those that need the rule.
    """
    from darlr.policies.new_users import for_new_users
    from darlr.policies.registry import BASELINES, fit_baseline

    def fitted(name: str, one: FinishedRun) -> Policy:
        found = fit_baseline(name, one.logs.context(None, one.config.train.session.turns), one.config.train.seed)
        hidden = one.logs.hidden
        return translated(for_new_users(found, len(hidden.new)) if new and hidden else found, one.logs.unit)

    apart = {(one.config.split, one.config.data): one for one in runs}.values()
    entries = [Entry(title, [fitted(name, one) for one in apart], "log") for name, title in BAYES.items()]
    blind = [BASELINES[name].blind for name in BAYES]
    plain = [entry for entry, without in zip(entries, blind, strict=True) if without or not exits]
    twins = [entry for entry, without in zip(entries, blind, strict=True) if exits and (avoid or not without)]
    return plain + exit_aware(twins)


def folded_in(table: Estimate, world: World) -> Policy:
    """The items that rank first by a table of the log's users, whose row is carried along with the row of r_0."""

    def build(count: int, vectors: Tensor | None, rows: Estimate | None) -> Policy:
        assert rows is not None
        return UserGreedy(rows)

    tensors, about = write_newcomers(replace(world, feedback=None), table)
    return FoldedIn(read_newcomers(tensors, about, None, build))


def rows_for_new(entries: Sequence[Entry], worlds: Sequence[World], logs: Logs) -> list[Entry]:
    """Simple rows of `darlr.evaluation.lists.trivial_rows` for new users. worlds: those of the seeds.

    Lists stay, tables are folded in, and references to the truth are those of the new users already.
    """

    def policy(one: Policy, seed: int) -> Policy:
        if not isinstance(one, UserGreedy):
            return one
        world = worlds[min(seed, len(worlds) - 1)]
        return translated(folded_in(estimate_of(one.table), world), logs.unit)

    fair = {k: entry for k, entry in enumerate(entries) if entry.kind != "truth"}
    made = {k: [policy(one, seed) for seed, one in enumerate(entry.policies)] for k, entry in fair.items()}
    return [replace(entry, policies=made[k]) if k in made else entry for k, entry in enumerate(entries)]


def of_kind(config: RunConfig, users: Users) -> RunConfig:
    """The options of a run that hides users for these rows: the share that the options name, or SHARE, or nobody."""
    share = 0.0 if users == "known" else config.split.hidden or SHARE
    return replace(config, split=replace(config.split, hidden=share, fold=config.split.fold if share else 0))
