"""`darlr train`: a training run and, with --evaluate, its evaluation."""

from dataclasses import replace
from shlex import quote
from typing import TypeVar

from rich.console import Console

from darlr.cli.evaluate import report
from darlr.cli.options import Train, Tune
from darlr.errors import ConfigError
from darlr.evaluation.truth import has_truth
from darlr.experiments.finished import with_own_log
from darlr.experiments.new_users import of_kind
from darlr.experiments.plan import table, without_effect
from darlr.experiments.progress import say
from darlr.experiments.runs import CONFIG, read_config
from darlr.experiments.size import outlook
from darlr.experiments.training import prepare, train_run
from darlr.experiments.workers import check, follow_started, place
from darlr.methods import usual
from darlr.options import RunConfig, TrainConfig, Users
from darlr.options.names import command_line

Options = TypeVar("Options", Train, Tune)


def of_method(options: Options) -> Options:
    """The options with the defaults of the method."""
    plain, own = RunConfig(train=TrainConfig(method=options.train.method)), usual(options.train.method)
    return options if own == plain else replace(options, **vars(own))


def defaults(options: Train) -> Train:
    """The options with the defaults of the run that is resumed, or else of the method."""
    if not options.resume or not (options.out / CONFIG).exists():
        return of_method(options)
    return replace(options, **vars(with_own_log(read_config(options.out, RunConfig), options.out)))


def run(options: Train) -> None:
    """Train or resume a run and, with --evaluate, evaluate it as `darlr evaluate` does."""
    asked = options.config if options.users is None else _hiding(options.config, options.users)
    where = place(options.workers)
    if where.rank > 0:
        if not options.dry_run:
            follow_started(options.out, where, options.train.device)
        return
    for sentence in [] if options.resume else without_effect(asked):
        say(f"warning: {sentence}")
    if options.dry_run:
        check(asked.train, where)
        prepared = prepare(asked)
        config = prepared.config
        say(outlook(prepared.size))
        if prepared.choice is not None:
            say(f"plan: {prepared.choice.reason}")
        Console().print(table(asked, config))
        print(f"the same as a command: {command_line(config, options.out, usual(config.train.method))}")
        return
    chosen = {name: getattr(options, name) for name in ("resume", "watch", "tensorboard", "evaluate")}
    trained = train_run(asked, options.out, where=where, **chosen)
    command = f"darlr evaluate {quote(str(options.out))}"
    if not options.evaluate:
        measurable = trained.config.split.evaluation or has_truth(trained.config.data)
        user = f"darlr recommend {quote(str(options.out))} --user ID"
        say(f"run in {options.out}; next: {command if measurable else user}")
        return
    say(f"run in {options.out}; evaluating it")
    try:
        report([trained], options.out, users=options.users)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted after training, which is complete; evaluate it with: {command}") from None


def _hiding(config: RunConfig, users: Users) -> RunConfig:
    """The options of a run whose users are these."""
    if users == "known" and config.split.hidden:
        raise ConfigError(
            f"option users: known hides nobody from training, and split.hidden is {config.split.hidden:g}; leave out "
            "one of them, or train another run"
        )
    return of_kind(config, users)
