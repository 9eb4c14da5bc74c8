"""`darlr train`: a training run, and its evaluation if asked for."""

from dataclasses import replace
from shlex import quote

from darlr.cli import Evaluate, Train
from darlr.commands import evaluate
from darlr.config import RunConfig
from darlr.evaluation.truth import has_truth
from darlr.runs import CONFIG, read_config
from darlr.stages.checks import without_effect
from darlr.stages.progress import say
from darlr.stages.training import train_run


def as_started(options: Train) -> Train:
    """The same options with those that the run was started with, where there is one."""
    if not (options.out / CONFIG).exists():
        return options
    return replace(options, **vars(read_config(options.out, RunConfig)))


def run(options: Train) -> None:
    """Train, or continue, one run; then, with `evaluate`, do what `darlr evaluate` does with it."""
    for warning in [] if options.resume else without_effect(options.config):
        say(warning)
    train_run(options)
    command = f"darlr evaluate {quote(str(options.out))}"
    if not options.evaluate:
        config = read_config(options.out, RunConfig)
        judged = config.split.evaluation or has_truth(config.data)
        user = f"darlr recommend {quote(str(options.out))} --user ID"
        say(f"run in {options.out}; next: {command if judged else user}")
        return
    say(f"run in {options.out}; evaluating it")
    try:
        evaluate.run(Evaluate((options.out,)))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted after training, which is whole; evaluate it with: {command}") from None
