"""`darlr serve`: serve policies over HTTP."""

from dataclasses import replace
from pathlib import Path

from darlr.cli.policy_options import Serve
from darlr.errors import MachineError
from darlr.experiments.progress import say
from darlr.serving.read import is_exported


def run(options: Serve) -> None:
    """Serve until the process is told to end. A warning names updates that their gate did not promote."""
    for run in options.runs:
        if _promoted(run) is False:
            say(f"warning: {run} was not promoted: on newer events it is surely worse than the run that it updates")
    try:
        from darlr.server.run import serve
    except ModuleNotFoundError as error:
        raise MachineError("the server needs the extra `serve`: pip install 'darlr[serve]'") from error
    if options.demo:
        from darlr.server.demo import demo_runs

        options = replace(options, runs=demo_runs(say), demo=False)
    if any(map(is_exported, options.runs)):
        options = replace(options, page=False)  # it needs the folder of a run
    described = "open it in a browser; " * options.page + "its interface is described at"
    serve(options, lambda address: say(f"serving at {address}; {described} {address}/openapi.json"), say)


def _promoted(run: Path) -> bool | None:
    """Whether the gate of an update passed; None for what is no update. An exported policy needs no PyTorch here."""
    if is_exported(run):
        return None
    from darlr.experiments.promotion import promoted

    return promoted(run)
