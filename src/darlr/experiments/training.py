"""A training run: its start, the world model, the agents, and the policy that it hands over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

import torch

from darlr.agents.fast.kernels import PLAIN
from darlr.agents.learner import Learner, build_learner, state
from darlr.agents.parallel import ALONE, Join
from darlr.agents.references import pool_note
from darlr.agents.sink import Memory
from darlr.agents.train import RolloutReport, train
from darlr.data.log import InteractionLog
from darlr.data.sources import open_source
from darlr.data.store import is_prepared
from darlr.errors import RunError
from darlr.evaluation.evaluate import all_alike, settings
from darlr.evaluation.truth import has_truth
from darlr.experiments.compiling import Choice, as_begun, choose, remember
from darlr.experiments.finished import DATA, FinishedRun, chosen, finish, keep_log, open_run, world_folder, world_parts
from darlr.experiments.leaving import leaving_notes, write_leaving
from darlr.experiments.logs import NOTHING_KEPT, Logs, divided
from darlr.experiments.plan import check_options, check_run, decided, with_tastes
from darlr.experiments.process import configure
from darlr.experiments.progress import Meter, say, watched
from darlr.experiments.runs import CHECKPOINT, CONFIG, Run, read_config
from darlr.experiments.size import Size, outlook, require_disk, require_memory, size_of
from darlr.experiments.watch import Watch, criterion_of, kept, watch_truth
from darlr.experiments.workers import ALL, Place, check, check_memory, working
from darlr.experiments.world import (
    fit_model,
    given_world,
    is_fitted,
    load_world_model,
    paid_world,
    save_world_model,
    true_reward,
    weighed,
    weighs,
    world_of,
)
from darlr.io.files import digest
from darlr.methods import find
from darlr.options import RunConfig, WorldModelConfig
from darlr.simulation.exits import Exit, build_exit, in_unit
from darlr.world.drawn import require_draws
from darlr.world.fitted import FILES, FittedWorldModel
from darlr.world.given import WorldModel
from darlr.world.kind import Warm
from darlr.world.kinds import refuse_given
from darlr.world.tables import World

MAY_CHANGE = ("train.epochs", "label", "data")  # the checksum of the data may not
OnEpoch = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Prepared:
    """The start of a run.

    source: the log as it was read. asked: the options as they were given. config: the options with nothing left open.
    size: the memory, disk and time of the run. given: the world model that the options name, None where the run fits
    its own. choice: whether the inner loop is compiled; None where the options say so.
    """

    source: InteractionLog
    logs: Logs
    asked: RunConfig
    config: RunConfig
    size: Size
    exit_rule: Exit
    given: FittedWorldModel | None = None
    choice: Choice | None = None


@dataclass(frozen=True)
class Earlier:
    """What an update goes on from, in place of a random start.

    warm: the world model of the earlier run. model: the options with which its fit goes on. begin: gives a new learner
    on a World what the earlier agents know. inputs: what the update depends on besides its log, for its folder.
    """

    warm: Warm
    model: WorldModelConfig
    begin: Callable[[Learner, World, Logs], None]
    inputs: Mapping[str, str]


def prepare(asked: RunConfig, source: InteractionLog | None = None, factors: WorldModel | None = None) -> Prepared:
    """Read and split the log, decide all options, and check everything that can be checked before any work.

    source: the log, read already. factors: of another library, which become the run's own world model. Raises
    DarlrError where the run cannot start.
    """
    check_options(asked)
    source = open_source(asked.data, options=asked.synthetic) if source is None else source
    require_memory(size_of(source, asked))  # before anything else takes minutes
    logs = divided(source, asked)
    check_run(asked, logs.unseen_in_scope)
    config = decided(asked, logs)
    session = config.train.session
    exit_rule = in_unit(build_exit(session, logs.catalogue, config.train.device), learned=True)
    prepared = Prepared(source, logs, asked, config, size_of(logs.whole, config), exit_rule)
    if find(config.train.method).truth:
        true_reward(logs, config)  # raises where there is none
    if config.fits_world and factors is None:
        return _compiled(prepared)
    given = given_world(asked.world_model, config, logs, factors)
    # the options of the model that the run learns from, for readers of the run
    train = replace(
        config.train, session=with_tastes(replace(session, tastes=asked.train.session.tastes), given.config)
    )
    if train.session.tastes == "drawn":
        require_draws(given.config, given.model.members)
    return _compiled(replace(prepared, config=replace(config, world_model=given.config, train=train), given=given))


def _compiled(prepared: Prepared) -> Prepared:
    """The same with `compile = auto` decided."""
    config, size = prepared.config, prepared.size
    if config.train.compile != "auto":
        return prepared
    choice = choose(config, size.users, size.items)
    train = replace(config.train, compile=choice.compile)
    return replace(prepared, config=replace(config, train=train), choice=choice)


def train_run(
    asked: RunConfig,
    out: Path,
    *,
    source: InteractionLog | None = None,
    factors: WorldModel | None = None,
    resume: bool = False,
    watch: bool = True,
    tensorboard: bool = False,
    evaluate: bool = False,
    on_epoch: OnEpoch = lambda _: None,
    where: Place = ALL,
    earlier: Earlier | None = None,
) -> FinishedRun:
    """Train, or continue, a run in its folder `out`, which is written to after everything was checked.

    source: the log, read already; the run's folder then holds it. factors: see `prepare`. watch: play on the truth,
    where there is one, after each epoch. evaluate: the run is to be evaluated afterwards. on_epoch: called with the log
    line of each epoch. where: this process among the workers that train together, of which it is worker 0. earlier:
    what an update goes on from.
    """
    configure(asked.train.threads)
    check(asked.train, where)
    if resume and (out / CONFIG).exists():
        asked = as_begun(asked, read_config(out, RunConfig))
    prepared = prepare(asked, source, factors)
    check_memory(prepared.size, where)
    config, logs = prepared.config, prepared.logs
    if source is not None:
        config = replace(config, data=str(out.resolve() / DATA))
    watching = watch_truth(config, logs, wanted=watch)
    if evaluate and not logs.evaluation and not has_truth(config.data):
        raise RunError(NOTHING_KEPT.format(folder=out, data=config.data))
    require_disk(prepared.size, out)
    announce(prepared)
    own = config.fits_world and prepared.given is None and config.world_model.kind == "given"
    if own and not is_fitted(world_folder(out, config)):
        refuse_given()
    inputs = {"data": logs.checksum, **({} if earlier is None else earlier.inputs)}
    if not config.fits_world:
        inputs["world"] = digest(Path(config.world) / FILES[0])
    with Run.start(out, config, inputs=inputs, resume=resume, may_change=MAY_CHANGE, tensorboard=tensorboard) as run:
        try:
            if source is not None and not is_prepared(out / DATA):
                keep_log(source, out)
            place, fitted = world_folder(out, config), prepared.given
            if config.fits_world:
                if not is_fitted(place):
                    fitted = fitted_anew(logs, config.world_model, earlier) if fitted is None else fitted
                    save_world_model(fitted, place, logs, config.split)
                # Always from disk, so that a run that is resumed after the fit goes the same way.
                fitted = load_world_model(place, logs, config.split)
            assert fitted is not None  # a folder that the options name was read before
            run.depend_on(world_parts(place))
            if weighs(config.train):  # before other workers begin, which read what this one writes
                weighed(fitted, logs, config.train.selector.folds)
            write_leaving(out, config.train.session, logs)
            with working(out, where, config.train.device) as join:
                finished = train_agents(
                    prepared, fitted, run, watch=watching, on_epoch=on_epoch, join=join, earlier=earlier
                )
            finished.export(out / "policy")
            return finished
        except KeyboardInterrupt:
            more = " --evaluate" * evaluate + f" --workers {where.size}" * (where.size > 1)
            again = f"continue with: darlr train --out {quote(str(out))} --resume{more}"
            if not (out / CHECKPOINT).exists():
                raise KeyboardInterrupt(f"interrupted before the first checkpoint; {again}") from None
            learned = open_run(out, logs=logs)
            learned.export(out / "policy")
            done = f"interrupted after epoch {learned.epochs} of {config.train.epochs}"
            raise KeyboardInterrupt(f"{done}; the policy at that time is in {out}; {again}") from None


def fitted_anew(logs: Logs, config: WorldModelConfig, earlier: Earlier | None = None) -> FittedWorldModel:
    """Fit the world model of a run; that of an update goes on from the earlier one."""
    return fit_model(logs, config) if earlier is None else fit_model(logs, earlier.model, earlier.warm)


def announce(prepared: Prepared) -> None:
    """Show messages on the memory and time of the run, the unit of rewards, and the events kept for evaluation."""
    logs, session = prepared.logs, prepared.config.train.session
    say(outlook(prepared.size))
    if prepared.choice is not None:
        say(f"plan: {prepared.choice.reason}")
    unit = logs.unit.describe(logs.recorded)
    if unit:
        say(unit)
    alike = all_alike(settings(session, logs.catalogue), len(logs.scope.items))
    if "NX_0" in alike and not session.repeats:
        say(f"warning: {alike['NX_0']}")
    for note in leaving_notes(session, logs):
        say(note)
    if logs.evaluation and prepared.asked.split.evaluation is None:
        say(f"{logs.reserved} are kept from training for darlr evaluate; a split.evaluation of 0 keeps none")


def train_agents(
    prepared: Prepared,
    fitted: FittedWorldModel,
    sink: Run | Memory,
    *,
    watch: Watch = lambda *_: {},
    on_epoch: OnEpoch = lambda _: None,
    join: Join = lambda: ALONE,
    earlier: Earlier | None = None,
) -> FinishedRun:
    """Train the agents on a fitted world model, from the sink's newest checkpoint where there is one.

    join: see `darlr.agents.train.train`. earlier: what an update goes on from before it has a checkpoint.
    """
    config, logs = prepared.config, prepared.logs
    options = config.train
    world = paid_world(world_of(fitted, logs, options), logs, config)
    note = pool_note(prepared.asked.train.selector, world.n_users)
    if find(options.method).references and note:
        say(note)
    if options.compile == "on":
        say("compiling the inner loop; the first steps take a minute unless PyTorch has cached it")
    device = torch.device(options.device)
    gpus = [device.index or 0] if device.type == "cuda" else []  # training seeds their generators
    with Meter(options.method) as meter, torch.random.fork_rng(devices=gpus):
        torch.manual_seed(options.seed)
        if earlier is not None and sink.load_checkpoint() is None:
            learner = build_learner(world, options)
            earlier.begin(learner, world, logs)
            sink.save_checkpoint(state(learner), {"epoch": 0})

        def show(report: RolloutReport) -> None:
            done = report.rollout * options.epochs / report.rollouts
            meter.show(done, options.epochs, watched(report.metrics, logs.unit))

        last = options.keep == "last"
        criterion = None if last else criterion_of(world, prepared.exit_rule, options, logs, fitted)
        learner = train(
            sink,
            world,
            prepared.exit_rule,
            logs.unseen_in_scope,
            options,
            criterion=criterion,
            on_rollout=show,
            after_epoch=watch,
            on_epoch=on_epoch,
            on_warning=lambda epoch, sign: say(f"warning, epoch {epoch}, {sign.signature}: {sign.message}"),
            join=join,
        )
    if learner.kernels is not PLAIN and not learner.kernels.failed:
        remember(config, prepared.size.users, prepared.size.items)
    rows = sink.rows
    newest, epochs = learner.recommender.state_dict(), rows[-1]["epoch"] if rows else 0
    found = chosen(newest, epochs, sink.load_best() if options.keep != "last" else None)
    gains = [row["greedy_gain"] for row in rows if "greedy_gain" in row]
    say(kept(found, drawn=world.tastes is not None, gains=gains))
    return finish(sink if isinstance(sink, Memory) else sink.folder, config, logs, fitted, world, found)
