"""What is measured on the truth after each epoch of training, for the learning curve alone."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from darlr.agents.learner import Learner
from darlr.agents.recommender import RecommenderPolicy
from darlr.evaluation.estimation import reward_error
from darlr.evaluation.evaluate import published, published_setting
from darlr.evaluation.playing import majority_items
from darlr.evaluation.truth import load_truth
from darlr.experiments.logs import Logs
from darlr.options import RunConfig
from darlr.simulation.policy import translated

Watch = Callable[[int, Learner], Mapping[str, Any]]
"""More columns of an epoch's log line, from its number and the learner; nothing in training reads them."""


def no_watch(epoch: int, learner: Learner) -> Mapping[str, Any]:
    """No more columns."""
    return {}


def watch_truth(config: RunConfig, logs: Logs) -> Watch:
    """The published protocol after each epoch, and the error of the reward estimates; nothing without a truth."""
    truth = load_truth(config.data, options=config.synthetic)
    if truth is None:
        return no_watch
    options, device = config.train, config.train.device
    truth = replace(truth, reward=truth.reward.to(device))
    setting = published_setting(options.session, logs.catalogue, device)
    majority = majority_items(logs.train_catalogue)
    majority = None if majority is None else majority.to(device)

    def watch(epoch: int, learner: Learner) -> Mapping[str, Any]:
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + epoch)
        policy = translated(RecommenderPolicy(learner.recommender), logs.unit)
        measured: dict[str, Any] = dict(
            published(policy, truth, setting, len(logs.scope.items), generator=generator, majority=majority)
        )
        if learner.refines:
            measured["frozen"] = reward_error(logs.unit.show(learner.tables.frozen), truth)
            measured["dynamic"] = reward_error(logs.unit.show(learner.tables.previous), truth)
        return measured

    return watch
