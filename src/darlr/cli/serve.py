"""`darlr serve`: serve policies over HTTP."""

from dataclasses import replace

from darlr.cli.options import Serve
from darlr.errors import MachineError
from darlr.experiments.progress import say
from darlr.experiments.promotion import promoted


def run(options: Serve) -> None:
    """Serve until the process is told to end. A warning names updates that their gate did not promote."""
    for run in options.runs:
        if promoted(run) is False:
            say(f"warning: {run} was not promoted: on newer events it is surely worse than the run that it updates")
    try:
        from darlr.server.run import serve
    except ModuleNotFoundError as error:
        raise MachineError("the server needs the extra `serve`: pip install 'darlr[serve]'") from error
    if options.demo:
        from darlr.server.demo import demo_runs

        options = replace(options, runs=demo_runs(say), demo=False)
    described = "open it in a browser; " * options.page + "its interface is described at"
    serve(options, lambda address: say(f"serving at {address}; {described} {address}/openapi.json"), say)
