"""A training run in its folder: world model if needed, then the agents, then the policy."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from shlex import quote
from typing import Any, Literal

import torch

from darlr.agents.candidates import pool_note
from darlr.agents.learner import Learner
from darlr.agents.recommender import RecommenderPolicy
from darlr.agents.train import Progress, train
from darlr.data.log import InteractionLog
from darlr.data.sources import BUILT_IN, open_source
from darlr.errors import ConfigError, RunError
from darlr.evaluation.estimation import reward_error
from darlr.evaluation.evaluate import all_alike, published, published_setting, settings
from darlr.evaluation.metrics import majority_items
from darlr.evaluation.truth import has_truth, load_truth
from darlr.experiments.checks import check_options, check_run
from darlr.experiments.finished import handed_over, trained, world_folder, world_parts
from darlr.experiments.kept import judge_of, kept
from darlr.experiments.logs import NOTHING_KEPT, Logs, divided, resolved
from darlr.experiments.process import settle
from darlr.experiments.progress import Meter, say, watched
from darlr.experiments.runs import Run
from darlr.experiments.size import plan, require_disk, require_memory, size_of
from darlr.experiments.world import (
    fit_into,
    is_fitted,
    load_world_model,
    paid_world,
    true_reward,
    warn_of_untrained,
    world_of,
)
from darlr.io.files import digest
from darlr.options import RunConfig, TrainConfig, WorldModelConfig
from darlr.serving.folder import export
from darlr.simulation.exits import Exit, build_exit
from darlr.simulation.policy import translated
from darlr.world.fitted import FILES, FittedWorldModel

IPS_WEIGHTING: Literal["inverse-popularity"] = "inverse-popularity"
MAY_CHANGE = ("train.epochs", "label")
Watch = Callable[[int, Learner], Mapping[str, Any]]


def train_run(
    asked: RunConfig,
    out: Path,
    *,
    resume: bool = False,
    watch: bool = True,
    tensorboard: bool = False,
    evaluate: bool = False,
) -> None:
    """Train, or continue, a run in its folder `out`. Everything that can be checked is checked before it is written to.

    watch: play on the truth, where there is one, after each epoch. evaluate: the run is to be evaluated afterwards.
    """
    check_options(asked)
    settle(asked.train.threads)
    # Before its folder is spelt out: the error then names what was asked for.
    logs, train_config, exit_rule = ready(open_source(asked.data, synthetic=asked.synthetic), asked)
    config = weighted(anchored(asked))
    config = replace(config, split=replace(config.split, evaluation=logs.evaluation))  # what evaluation must know
    watcher = watcher_of(config, train_config, logs) if watch else lambda *_: {}
    if evaluate and not logs.evaluation and not has_truth(config.data):
        raise RunError(NOTHING_KEPT.format(folder=out, data=config.data))
    if config.train.method == "gt":
        true_reward(logs, config)  # raises where there is none
    inputs = {"data": logs.checksum}
    if config.world:
        fitted = load_world_model(Path(config.world), logs, config.split)
        check_weighting(config, fitted)
        warn_of_ignored(asked.world_model, fitted.config)
        warn_of_untrained(fitted)
        inputs["world"] = digest(Path(config.world) / FILES[0])
        config = replace(config, world_model=fitted.config)  # what the run learns from, for whoever reads it
    size = size_of(logs.whole, config)
    require_disk(size, out)
    say(plan(size))
    say_what_is_learned(logs, train_config)
    if logs.evaluation and asked.split.evaluation is None:
        say(f"{logs.reserved} are kept from training, for darlr evaluate (--split.evaluation 0 trains on everything)")
    with Run.start(
        out,
        config,
        inputs=inputs,
        resume=resume,
        may_change=MAY_CHANGE,
        tensorboard=tensorboard,
    ) as opened:
        try:
            work(opened, config, train_config, logs, exit_rule, watcher)
        except KeyboardInterrupt:
            again = f"darlr train --out {quote(str(out))} --resume" + " --evaluate" * evaluate
            raise KeyboardInterrupt(leave(out, config, train_config, logs, again)) from None


def say_what_is_learned(logs: Logs, train_config: TrainConfig) -> None:
    """How rewards are learned, where it is not as they are; and a warning where sessions teach nothing."""
    unit = logs.unit.describe(logs.recorded)
    if unit:
        say(unit)
    session = train_config.session
    alike = all_alike(settings(session, logs.catalogue), len(logs.scope.items))
    if "NX_0" in alike and not session.repeats:
        say(f"warning: {alike['NX_0']}")


def ready(source: InteractionLog, config: RunConfig) -> tuple[Logs, TrainConfig, Exit]:
    """What training on a data set starts from; raises DarlrError where it cannot start."""
    require_memory(size_of(source, config))  # before anything else takes minutes
    logs = divided(source, config)
    check_run(config, logs.unseen_in_scope)
    train_config = resolved(config.train, logs.whole)
    return logs, train_config, build_exit(train_config.session, logs.catalogue, train_config.device)


def work(opened: Run, config: RunConfig, train_config: TrainConfig, logs: Logs, exit_rule: Exit, watch: Watch) -> None:
    """The stages of a run: world model, agents, policy."""
    place = world_folder(opened.folder, config)
    if not is_fitted(place):
        fit_into(place, logs, config.split, config.world_model)
    # Always from disk and always seeded here, so that a run resumed after the fit goes the same way.
    fitted = load_world_model(place, logs, config.split)
    opened.depend_on(world_parts(place))
    world = paid_world(world_of(fitted, logs, train_config), logs, config)
    torch.manual_seed(train_config.seed)
    note = pool_note(train_config.selector, world.n_users)
    if train_config.method == "darlr" and note:
        say(note)
    if train_config.compile:
        say("compiling the inner loop; where nothing of it is cached, the first steps take a minute")
    with Meter(train_config.method) as meter:

        def show(progress: Progress) -> None:
            done = progress.rollout * train_config.epochs / progress.rollouts
            meter.show(done, train_config.epochs, watched(progress.metrics, logs.unit))

        train(
            opened,
            world,
            exit_rule,
            logs.unseen_in_scope,
            train_config,
            judge=judge_of(world, exit_rule, train_config, logs) if train_config.keep == "best" else None,
            on_rollout=show,
            after_epoch=watch,
            on_warning=lambda epoch, sign: say(f"warning, epoch {epoch}, {sign.signature}: {sign.message}"),
        )
    found = handed_over(opened.folder, config)
    assert found is not None  # training ended with a checkpoint
    say(kept(found))
    policy = trained(world, train_config, found.weights)
    export(policy, world, logs.known, train_config, opened.folder / "policy")


def leave(folder: Path, config: RunConfig, train_config: TrainConfig, logs: Logs, command: str) -> str:
    """Make what was trained so far usable; returns what to tell the user who interrupted. command: that goes on."""
    again = f"continue with: {command}"
    found = handed_over(folder, config)
    if found is None:
        return f"interrupted before the first checkpoint; {again}"
    world = paid_world(
        world_of(load_world_model(world_folder(folder, config), logs, config.split), logs, train_config), logs, config
    )
    export(trained(world, train_config, found.weights), world, logs.known, train_config, folder / "policy")
    done = f"epoch {found.epochs} of {train_config.epochs}"
    return f"interrupted after {done}; what was learned by then is in {folder} and can be used; {again}"


def anchored(config: RunConfig) -> RunConfig:
    """Folders by their full path, so that the run can be used from any working directory."""
    data = (
        config.data if config.data in BUILT_IN or not Path(config.data).exists() else str(Path(config.data).resolve())
    )
    return replace(config, data=data, world=str(Path(config.world).resolve()) if config.world else None)


def weighted(config: RunConfig) -> RunConfig:
    """IPS is MBPO on a world model of inverse-popularity weights, which a run that fits its own gets."""
    if config.train.method != "ips":
        return config
    return replace(config, world_model=replace(config.world_model, weighting=IPS_WEIGHTING))


def warn_of_ignored(asked: WorldModelConfig, there: WorldModelConfig) -> None:
    """Say which options of the world model do nothing, as the given one has others."""
    usual = WorldModelConfig()
    names = [option.name for option in fields(asked)]
    told = [n for n in names if getattr(asked, n) not in (getattr(usual, n), getattr(there, n))]
    if told:
        listed = ", ".join(f"--model.{name.replace('_', '-')} ({getattr(there, name)} there)" for name in told)
        say(f"warning: ignored, as the world model that --world names is fitted already: {listed}")


def check_weighting(config: RunConfig, fitted: FittedWorldModel) -> None:
    """Raise ConfigError when IPS is given a world model without its weights."""
    if config.train.method == "ips" and fitted.config.weighting != IPS_WEIGHTING:
        raise ConfigError(
            f"option world: {config.world} was fitted with weighting '{fitted.config.weighting}', and ips needs one of "
            f"`darlr fit --weighting {IPS_WEIGHTING}`; or leave the option out"
        )


def watcher_of(config: RunConfig, train_config: TrainConfig, logs: Logs) -> Watch:
    """What the published protocol measures after each epoch, and the error of the reward estimates on the truth.

    For the learning curve alone: nothing in training reads it. Empty without a truth.
    """
    truth = load_truth(config.data, synthetic=config.synthetic)
    if truth is None:
        return lambda *_: {}
    device = train_config.device
    truth = replace(truth, reward=truth.reward.to(device))
    setting = published_setting(train_config.session, logs.catalogue, device)
    majority = majority_items(logs.train_catalogue)
    majority = None if majority is None else majority.to(device)

    def watch(epoch: int, learner: Learner) -> Mapping[str, Any]:
        generator = torch.Generator().manual_seed(train_config.seed * 1_000_003 + epoch)
        policy = translated(RecommenderPolicy(learner.recommender), logs.unit)
        measured: dict[str, Any] = dict(
            published(policy, truth, setting, len(logs.scope.items), generator=generator, majority=majority)
        )
        if train_config.method == "darlr":
            measured["frozen"] = reward_error(logs.unit.show(learner.tables.frozen), truth)
            measured["dynamic"] = reward_error(logs.unit.show(learner.tables.previous), truth)
        return measured

    return watch
