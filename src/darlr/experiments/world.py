"""The world model of a run: fit it into a folder, load it, and build the tables whose rewards the agents learn from."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darlr.agents.learner import slate_size
from darlr.data.scope import within_scope
from darlr.errors import ConfigError, RunError
from darlr.evaluation.truth import load_truth
from darlr.experiments.logs import Logs, known_part
from darlr.experiments.new_user_prior import METRIC, belief_about_new_users, chosen_prior, told
from darlr.experiments.progress import PATIENCE, Meter, say
from darlr.experiments.size import FIT, require_memory, size_of
from darlr.io.files import read_json
from darlr.io.folders import recover
from darlr.io.places import require_writable
from darlr.methods import find
from darlr.options import RunConfig, SplitConfig, TrainConfig, WorldModelConfig
from darlr.options.json import to_json
from darlr.options.names import option_name
from darlr.serving.dynamics import dynamics_of
from darlr.world.attention import Attention
from darlr.world.drawn import tastes_of
from darlr.world.estimates import Dense, estimate_of
from darlr.world.fit import train_world
from darlr.world.fitted import FILES, REMEDY, FittedWorldModel, load
from darlr.world.given import WorldModel, read_given
from darlr.world.implicit import resolve as resolve_model
from darlr.world.kind import EpochReport, SweepReport, Warm
from darlr.world.kinds import KINDS
from darlr.world.logged import certainty, histories
from darlr.world.preferences import preference_features
from darlr.world.tables import World, build_world
from darlr.world.weighed import attention_of

ORIGIN = "origin.json"  # the data and the split that a world model was fitted to; it is written last
UNTRAINED = (
    "warning: the world model is untrained: no epoch predicts held-out events better than its random start, so "
    "policies that learn from it learn noise; give it more events, or change model.learning-rate or model.epochs"
)


def origin(logs: Logs, split_config: SplitConfig) -> dict[str, Any]:
    """Return what a world model depends on besides its options, as JSON values."""
    known = to_json(replace(split_config, evaluation=logs.evaluation))
    if logs.evaluation and logs.whole.propensity is not None:
        known["kept"] = "events"  # older versions kept whole (user, item) cells of such a log
    return {"data": logs.whole.name, "checksum": logs.checksum, "split": known}


def refuse_other_content(folder: Path) -> None:
    """RunError when `folder` cannot be written to, or holds something else than a world model."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; choose another folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FILES[1]).exists():
        raise RunError(f"{folder}: not empty and no world model; choose another folder")
    require_writable(folder)


def fit_into(folder: Path, logs: Logs, split_config: SplitConfig, config: WorldModelConfig) -> FittedWorldModel:
    """Fit a world model and write it into `folder`. Progress is shown."""
    fitted = fit_model(logs, config)
    save_world_model(fitted, folder, logs, split_config)
    return replace(fitted, home=folder)


def save_world_model(fitted: FittedWorldModel, folder: Path, logs: Logs, split_config: SplitConfig) -> None:
    """Write a world model, and what it was fitted to, into `folder`."""
    text = json.dumps(origin(logs, split_config), indent=1, allow_nan=False) + "\n"
    fitted.save(folder, {ORIGIN: text})


def fit_model(logs: Logs, config: WorldModelConfig, warm: Warm | None = None) -> FittedWorldModel:
    """Fit a world model, and once more to the whole log where the split asks for a refit. Progress is shown.

    warm: the model to go on from, both times.
    """
    require_memory(size_of(logs.whole, RunConfig(world_model=config), FIT))
    with Meter("world model", every=10) as meter:

        def report(done: EpochReport | SweepReport) -> None:
            if isinstance(done, EpochReport):
                meter.show(done.epoch, done.epochs, {"held_out_rmse": done.held_out_rmse})
                return
            if done.sweep == 0:
                meter.begin(f"{meter.name}, posterior", "sweep", every=10)
            meter.show(done.sweep, done.sweeps, {})

        # a kind that does not use the held-out events has nothing to choose on them
        twice = logs.refit and KINDS[resolve_model(config, logs.train).kind].uses_held_out
        trained = train_world(logs.train if twice else logs.fitted, logs.held_out, config, report, warm)
        chosen = trained.metrics
        if twice:
            meter.begin("world model, whole log", every=10)
            again = replace(config, epochs=int(chosen["best_epoch"]))
            trained = train_world(logs.whole, logs.unseen, again, report, warm)
        users, items = len(trained.scope.users), len(trained.scope.items)
        say(f"world model: predicting {users:,} x {items:,} rewards")
        meter.begin("world model, predicting", "tenth", after=PATIENCE)
        fitted = trained.finish(lambda done: meter.show(done * 10 // users, 10, {}))
    if twice:
        fitted = replace(fitted, metrics={**chosen, "refit": fitted.metrics})
    if trained.config.kind == "history":
        choice = chosen_prior(logs.fitted, trained.config)
        fitted = replace(fitted, metrics={**fitted.metrics, METRIC: choice})
        say(told(choice))
    if not fitted.trained:
        say(UNTRAINED)
    return fitted


def is_fitted(folder: Path) -> bool:
    """Return whether `folder` holds a complete world model."""
    recover(folder)
    return (folder / ORIGIN).exists()


def load_world_model(
    folder: Path, logs: Logs, split_config: SplitConfig, config: WorldModelConfig | None = None
) -> FittedWorldModel:
    """Load a world model; RunError when there is none, or when it was fitted to other data or another split.

    config: the options under which the factors of another library are bound to the log, where the folder holds such.
    """
    given = None if is_fitted(folder) else read_given(folder)
    if given is not None:
        return given.bound(logs.fitted, config or WorldModelConfig()).finish()
    if not is_fitted(folder):
        raise RunError(f"{folder}: no world model here; make one with `darlr fit --out {folder}`")
    known, wanted = read_json(folder / ORIGIN, REMEDY), origin(logs, split_config)
    if not isinstance(known, dict):
        raise RunError(f"{folder / ORIGIN}: damaged, as it holds no object; {REMEDY}")
    changed = ", ".join(key for key in wanted if known.get(key) != wanted[key])
    if changed:
        raise RunError(f"{folder}: fitted on other data or splits ({changed} differ); fit again, or name the same data")
    fitted = load(folder)
    if not all(map(np.array_equal, (logs.scope.users, logs.scope.items), (fitted.users, fitted.items))):
        raise RunError(f"{folder}: its users and items are not those that {logs.whole.name} recommends to; {REMEDY}")
    return fitted


def world_of(fitted: FittedWorldModel, logs: Logs, config: TrainConfig) -> World:
    """Return the tables for the users and items of the scope, on the device of training."""
    world = build_world(fitted, logs.fitted, config.tables, logs.scope)
    slates, ratings = slate_size(config.recommender, world.n_items) > 0, not logs.fitted.implicit
    if slates or config.recommender.belief:
        world = replace(world, histories=histories(within_scope(logs.fitted, logs.scope)))
    if config.recommender.belief:
        world = believing(world, fitted, logs, config, asked=not slates or ratings)
    if config.recommender.price and not slates:
        world = replace(world, dynamics=dynamics_of(world.belief, logs.catalogue, config, fitted.answers.known))
    if config.session.tastes == "drawn":
        world = replace(world, tastes=tastes_of(fitted, logs.fitted))
    if weighs(config):
        world = replace(world, attention=weighed(fitted, logs, config.selector.folds))
    return world.to(config.device)


def believing(world: World, fitted: FittedWorldModel, logs: Logs, config: TrainConfig, *, asked: bool) -> World:
    """Return the world with the belief about new users, if it is asked for, and that about known ones.

    Of ratings with a posterior the second is the first given the log. Otherwise it is that of item features.
    """
    belief = belief_about_new_users(fitted, logs.fitted) if asked else None
    if belief is None or logs.fitted.implicit:
        features, _ = preference_features(logs.context(world, config.session.turns))
        return replace(world, preference=features, belief=belief)
    assert world.histories is not None
    features, known = certainty(belief, world.histories)
    return replace(world, preference=features, certainty=known, belief=belief)


def weighs(config: TrainConfig) -> bool:
    """Return whether likelihood weighs the references of the method."""
    return find(config.method).references and config.selector.objective == "likelihood"


def weighed(fitted: FittedWorldModel, logs: Logs, folds: int) -> Attention:
    """Return the weights of references that likelihood chooses. Progress is shown."""
    with Meter("weights of references") as meter:
        meter.begin(meter.name, "fit")
        return attention_of(fitted, logs.fitted, logs.scope, folds, lambda done, total: meter.show(done, total, {}))


def paid_world(world: World, logs: Logs, config: RunConfig) -> World:
    """Return the tables whose rewards the agents learn from. GT learns from the truth in place of the predictions."""
    if not find(config.train.method).truth:
        return world
    return replace(world, reward=Dense(true_reward(logs, config).to(world.reward.device, torch.float32)))


def true_reward(logs: Logs, config: RunConfig) -> Tensor:
    """Return the true rewards in the unit of learning, float32 [Us, Is]; ConfigError unless they cover the scope."""
    truth = load_truth(config.data, options=config.synthetic)
    if truth is None:
        raise ConfigError(f"option method: gt learns from the truth, and the data set {config.data} has none")
    truth = known_part(truth, logs)
    wanted = len(logs.scope.users), len(logs.scope.items)
    if truth.reward.shape != wanted:
        raise ConfigError(
            f"option method: gt needs the true reward of every user and item, {wanted[0]} x {wanted[1]} cells; "
            f"the truth of {config.data} has {truth.reward.shape[0]} x {truth.reward.shape[1]}"
        )
    known = estimate_of(truth.reward).whole()
    reward = torch.empty_like(known)
    reward[torch.from_numpy(truth.users)[:, None], torch.from_numpy(truth.items)] = known
    return logs.unit.learn(reward)


def given_world(
    asked: WorldModelConfig, config: RunConfig, logs: Logs, model: WorldModel | None = None
) -> FittedWorldModel:
    """Return the world model in the folder that the option `world` names. Warnings name options that it ignores.

    asked: the options of a world model as they were given. model: factors of another library, in place of the folder.
    Raises RunError as `load_world_model` does, DataError where factors do not fit the log, and ConfigError where the
    method needs another weighting of the events, or an ensemble.
    """
    if model is not None:
        fitted = model.bound(logs.fitted, config.world_model).finish()
    else:
        fitted = load_world_model(Path(config.world), logs, config.split, config.world_model)
    method, there = find(config.train.method), fitted.config
    wanted = method.weighting
    if there.kind == "given":
        check_given(fitted, config, logs)
    if wanted is not None and there.weighting != wanted:
        raise ConfigError(
            f"option world: {config.world} was fitted with weighting '{there.weighting}', and {config.train.method} "
            f"needs one of `darlr fit --weighting {wanted}`; or leave the option out"
        )
    if model is not None:
        return fitted
    usual, names = WorldModelConfig(), [option.name for option in fields(asked)]
    ignored = [n for n in names if getattr(asked, n) not in (getattr(usual, n), getattr(there, n))]
    if ignored:
        listed = ", ".join(f"{option_name('model', name)} (it has {getattr(there, name)})" for name in ignored)
        say(f"warning: the world model in {config.world} is fitted already, so these options are ignored: {listed}")
    if not fitted.trained:
        say(UNTRAINED)
    return fitted


def check_given(fitted: FittedWorldModel, config: RunConfig, logs: Logs) -> None:
    """Show how well the factors of another library predict. Raises ConfigError where the method needs an ensemble."""
    train, error = config.train, fitted.metrics["train_rmse"]
    if find(train.method).ensemble(train) and train.reward.lambda_u:
        raise ConfigError(
            f"option method: {train.method} penalises by the uncertainty P_U of an ensemble, and factors of another "
            "library have none; choose mbpo, roler or darlr with a dynamic penalty, set reward.lambda-u to 0, or let "
            "the run fit a world model (leave out the option world)"
        )
    spread = float(logs.fitted.reward.std()) * logs.unit.scale
    text = f"world model: factors of another library, root mean square error {error:.4g} on the training events"
    if logs.evaluation:
        text += "; they must not have been fitted to the events that are kept for evaluation"
    say(text)
    if not logs.fitted.implicit and error > spread:
        say(
            f"warning: the mean reward alone predicts better (error {spread:.4g}); are the predictions in the unit of "
            "the log? WorldModel.from_factors(..., calibrate=True) maps them to it"
        )
