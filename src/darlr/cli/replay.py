"""`darlr replay`: logged decisions again, by the policies that made them."""

from darlr.cli.options import Replay
from darlr.decisions.join import join
from darlr.decisions.read import read_log
from darlr.errors import ConfigError, RunError
from darlr.experiments.decided import repeated
from darlr.experiments.progress import say
from darlr.options import FeedbackConfig
from darlr.serving.read import open_policy


def run(options: Replay) -> None:
    """Repeat the decisions, and say what differs. Raises RunError where one does, or none is of these versions."""
    if not options.runs:
        raise ConfigError("name at least one run folder, such as darlr replay runs/demo --decisions decisions")
    decided = join(read_log(options.decisions), FeedbackConfig(), str(options.decisions))
    found = repeated(decided, [open_policy(folder) for folder in options.runs])
    for folder, one in zip(options.runs, found, strict=True):
        say(f"{folder}: {one}")
    if not any(one.decisions for one in found):
        raise RunError(f"{options.decisions}: none of its decisions is of a version of these runs")
    if any(one.mismatches for one in found):
        raise RunError(
            f"{options.decisions}: decisions differ; the number of threads, PyTorch or the machine is another one"
        )
