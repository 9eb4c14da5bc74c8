"""`darlr train`: world model if needed, then the agents."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from darlr.agents.learner import Learner
from darlr.agents.recommender import RecommenderPolicy
from darlr.agents.train import Progress, train
from darlr.cli import Train
from darlr.commands.stages import (
    ORIGIN,
    Logs,
    console,
    fit_into,
    load_world_model,
    open_logs,
    progress_bar,
    resolved,
    world_folder,
    world_of,
)
from darlr.config import RunConfig, TrainConfig
from darlr.evaluation.estimation import reward_error
from darlr.evaluation.evaluate import published, published_setting
from darlr.evaluation.metrics import majority_items
from darlr.evaluation.truth import load_truth
from darlr.runs import Run
from darlr.serving.recommender import export
from darlr.simulation.exits import build_exit

SHOWN = ("reward", "turns", "penalty", "similarity", "diversity")  # beside the progress bar
MAY_CHANGE = ("train.epochs", "train.threads")


def run(options: Train) -> None:
    """Train, or continue, one run."""
    config = options.run
    torch.set_num_threads(config.train.threads)
    torch.manual_seed(config.train.seed)
    logs = open_logs(config)
    train_config = resolved(config.train, logs.whole)
    exit_rule = build_exit(train_config.session, logs.whole, train_config.device)
    with Run.start(
        options.out,
        config,
        inputs={"data": logs.checksum},
        resume=options.resume,
        may_change=MAY_CHANGE,
        tensorboard=options.tensorboard,
    ) as opened:
        place = world_folder(options.out, config)
        if config.world or (place / ORIGIN).exists():
            fitted = load_world_model(place, logs, config.split)
        else:
            fitted = fit_into(place, logs, config.split, config.world_model)
        world = world_of(fitted, logs, train_config)
        watch = watcher(config, train_config, logs) if options.watch else lambda *_: {}
        with progress_bar(train_config.method, "{task.fields[numbers]}", numbers="") as (bar, task):

            def show(progress: Progress) -> None:
                numbers = "  ".join(f"{k} {progress.metrics[k]:.3f}" for k in SHOWN if k in progress.metrics)
                bar.update(task, total=progress.rollouts, completed=progress.rollout, numbers=numbers)

            learner = train(opened, world, exit_rule, logs.unseen, train_config, on_rollout=show, after_epoch=watch)
        export(learner.recommender, logs.whole, train_config, options.out / "policy")
    console.print(f"run in {options.out}; next: darlr evaluate {options.out}")


def watcher(config: RunConfig, train_config: TrainConfig, logs: Logs) -> Callable[[int, Learner], Mapping[str, Any]]:
    """What the published protocol measures after each epoch, and the error of the reward estimates on the truth.

    For the learning curve alone: nothing in training reads it. Empty without a truth.
    """
    truth = load_truth(config.data, synthetic=config.synthetic)
    if truth is None:
        return lambda *_: {}
    setting = published_setting(train_config.session, logs.whole)
    majority = majority_items(logs.train)

    def watch(epoch: int, learner: Learner) -> Mapping[str, Any]:
        generator = torch.Generator().manual_seed(train_config.seed * 1_000_003 + epoch)
        measured: dict[str, Any] = dict(
            published(
                RecommenderPolicy(learner.recommender),
                truth,
                setting,
                logs.whole.n_items,
                generator=generator,
                majority=majority,
            )
        )
        if learner.selector is not None:
            block = torch.as_tensor(truth.users)[:, None], torch.as_tensor(truth.items)
            measured["frozen"] = reward_error(learner.tables.frozen[block], truth)
            measured["dynamic"] = reward_error(learner.tables.previous[block], truth)
        return measured

    return watch
