"""A training run: what it starts from, the world model, the agents, and the policy that it hands over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import torch

from darlr.agents.references import pool_note
from darlr.agents.sink import Sink
from darlr.agents.train import RolloutReport, train
from darlr.data.log import InteractionLog
from darlr.data.sources import open_source
from darlr.data.store import is_prepared
from darlr.errors import RunError
from darlr.evaluation.evaluate import all_alike, settings
from darlr.evaluation.truth import has_truth
from darlr.experiments.checks import check_options, check_run
from darlr.experiments.finished import DATA, FinishedRun, finish, handed_over, open_run, world_folder, world_parts
from darlr.experiments.kept import criterion_of, kept
from darlr.experiments.logs import NOTHING_KEPT, Logs, divided
from darlr.experiments.plan import Plan, make_plan
from darlr.experiments.process import configure
from darlr.experiments.progress import Meter, say, watched
from darlr.experiments.runs import CHECKPOINT, Run, load_checkpoint
from darlr.experiments.save import keep_log
from darlr.experiments.size import outlook, require_disk, require_memory, size_of
from darlr.experiments.watch import Watch, no_watch, watch_truth
from darlr.experiments.world import (
    check_weighting,
    fit_into,
    is_fitted,
    load_world_model,
    paid_world,
    true_reward,
    warn_of_ignored,
    warn_of_untrained,
    world_of,
)
from darlr.io.files import digest
from darlr.methods import find
from darlr.options import RunConfig
from darlr.serving.folder import export
from darlr.simulation.exits import Exit, build_exit
from darlr.world.fitted import FILES, FittedWorldModel

MAY_CHANGE = ("train.epochs", "label", "data")  # the checksum of the data may not
OnEpoch = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Prepared:
    """What a run starts from. given: the world model that the options name, None where the run fits its own."""

    plan: Plan
    logs: Logs
    exit_rule: Exit
    given: FittedWorldModel | None

    @property
    def config(self) -> RunConfig:
        """The options of the plan."""
        return self.plan.config


def prepare(asked: RunConfig, source: InteractionLog | None = None) -> Prepared:
    """Read and split the log, decide the plan, and check everything that can be checked before any work.

    source: the log, read already. Raises DarlrError where the run cannot start.
    """
    check_options(asked)
    source = open_source(asked.data, options=asked.synthetic) if source is None else source
    require_memory(size_of(source, asked))  # before anything else takes minutes
    logs = divided(source, asked)
    check_run(asked, logs.unseen_in_scope)
    plan = make_plan(asked, logs)
    exit_rule = build_exit(plan.config.train.session, logs.catalogue, plan.config.train.device)
    if find(plan.config.train.method).truth:
        true_reward(logs, plan.config)  # raises where there is none
    if plan.config.fits_world:
        return Prepared(plan, logs, exit_rule, None)
    given = load_world_model(Path(plan.config.world), logs, plan.config.split)
    check_weighting(plan.config, given)
    warn_of_ignored(asked.world_model, given.config)
    warn_of_untrained(given)
    # what the run learns from, for whoever reads it
    plan = replace(plan, config=replace(plan.config, world_model=given.config))
    return Prepared(plan, logs, exit_rule, given)


def train_run(
    asked: RunConfig,
    out: Path,
    *,
    source: InteractionLog | None = None,
    resume: bool = False,
    watch: bool = True,
    tensorboard: bool = False,
    evaluate: bool = False,
    on_epoch: OnEpoch = lambda _: None,
) -> FinishedRun:
    """Train, or continue, a run in its folder `out`. Everything that can be checked is checked before it is written to.

    source: the log, read already; the run's folder then holds it. watch: play on the truth, where there is one, after
    each epoch. evaluate: the run is to be evaluated afterwards. on_epoch: called with the log line of each epoch.
    """
    check_options(asked)
    configure(asked.train.threads)
    prepared = prepare(asked, source)
    plan, config, logs = prepared.plan, prepared.config, prepared.logs
    if source is not None:
        config = replace(config, data=str(out.resolve() / DATA))
    watching = watch_truth(config, logs) if watch else no_watch
    if evaluate and not logs.evaluation and not has_truth(config.data):
        raise RunError(NOTHING_KEPT.format(folder=out, data=config.data))
    require_disk(plan.size, out)
    announce(prepared)
    inputs = {"data": logs.checksum}
    if not config.fits_world:
        inputs["world"] = digest(Path(config.world) / FILES[0])
    options = {"inputs": inputs, "resume": resume, "may_change": MAY_CHANGE, "tensorboard": tensorboard}
    with Run.start(out, config, **options) as run:  # type: ignore[arg-type]
        try:
            if source is not None and not is_prepared(out / DATA):
                keep_log(source, out)
            place, fitted = world_folder(out, config), prepared.given
            if fitted is None:
                if not is_fitted(place):
                    fit_into(place, logs, config.split, config.world_model)
                # Always from disk, so that a run that is resumed after the fit goes the same way.
                fitted = load_world_model(place, logs, config.split)
            run.depend_on(world_parts(place))
            finished = train_agents(prepared, fitted, run, watch=watching, on_epoch=on_epoch)
            reads = partial(load_checkpoint, out)
            finished = replace(finished, folder=out, checkpoint=reads)
            export(finished.recommender, finished.world, logs.known, config.train, out / "policy")
            return finished
        except KeyboardInterrupt:
            again = f"darlr train --out {quote(str(out))} --resume" + " --evaluate" * evaluate
            raise KeyboardInterrupt(leave(out, config, logs, again)) from None


def announce(prepared: Prepared) -> None:
    """Say what the run takes, how rewards are learned, and what is kept for evaluation."""
    logs, plan = prepared.logs, prepared.plan
    say(outlook(plan.size))
    unit = logs.unit.describe(logs.recorded)
    if unit:
        say(unit)
    session = plan.config.train.session
    alike = all_alike(settings(session, logs.catalogue), len(logs.scope.items))
    if "NX_0" in alike and not session.repeats:
        say(f"warning: {alike['NX_0']}")
    if logs.evaluation and plan.asked.split.evaluation is None:
        say(f"{logs.reserved} are kept from training, for darlr evaluate (--split.evaluation 0 trains on everything)")


def train_agents(
    prepared: Prepared,
    fitted: FittedWorldModel,
    sink: Sink,
    *,
    watch: Watch = no_watch,
    on_epoch: OnEpoch = lambda _: None,
) -> FinishedRun:
    """Train the agents on a fitted world model, from the sink's newest checkpoint where there is one."""
    config, logs = prepared.config, prepared.logs
    options = config.train
    world = paid_world(world_of(fitted, logs, options), logs, config)
    note = pool_note(prepared.plan.asked.train.selector, world.n_users)
    if find(options.method).references and note:
        say(note)
    if options.compile:
        say("compiling the inner loop; where nothing of it is cached, the first steps take a minute")
    with Meter(options.method) as meter, torch.random.fork_rng(devices=_devices(options.device)):
        torch.manual_seed(options.seed)

        def show(report: RolloutReport) -> None:
            done = report.rollout * options.epochs / report.rollouts
            meter.show(done, options.epochs, watched(report.metrics, logs.unit))

        train(
            sink,
            world,
            prepared.exit_rule,
            logs.unseen_in_scope,
            options,
            criterion=criterion_of(world, prepared.exit_rule, options, logs) if options.keep == "best" else None,
            on_rollout=show,
            after_epoch=watch,
            on_epoch=on_epoch,
            on_warning=lambda epoch, sign: say(f"warning, epoch {epoch}, {sign.signature}: {sign.message}"),
        )
    found = handed_over(sink, options)
    assert found is not None  # training ended with a checkpoint
    say(kept(found))
    return finish(config, logs, fitted, found, sink.rows, world, sink.load_checkpoint)


def _devices(device: str) -> list[int]:
    """The GPUs whose generators training seeds."""
    return [torch.device(device).index or 0] if torch.device(device).type == "cuda" else []


def leave(folder: Path, config: RunConfig, logs: Logs, command: str) -> str:
    """Make usable what was trained so far; returns what to say to the user who interrupted. command: that goes on."""
    again = f"continue with: {command}"
    if not (folder / CHECKPOINT).exists():
        return f"interrupted before the first checkpoint; {again}"
    run = open_run(folder, logs=logs)
    export(run.recommender, run.world, logs.known, config.train, folder / "policy")
    done = f"epoch {run.epochs} of {config.train.epochs}"
    return f"interrupted after {done}; what was learned by then is in {folder} and can be used; {again}"
