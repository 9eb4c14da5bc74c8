"""`darlr serve`: serve policies over HTTP."""

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
    described = "its interface is described at"
    serve(options, lambda address: say(f"serving at {address}; {described} {address}/openapi.json"), say)
