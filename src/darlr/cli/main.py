"""Where the command line starts: version and overview at once, as every import costs time; the rest in `dispatch`."""

import gc
import io
import os
import sys

from darlr import __version__
from darlr.cli.overview import NARROWEST, overview, terminal

FEWEST = 10  # the columns for which tyro is asked in narrower terminals, as in one column it never ends
YOUNG = 200_000  # the objects between garbage collections, because imports make many objects that stay


def main(arguments: list[str] | None = None) -> int:
    """Run a command, and return the exit code.

    It is 0 for success, 1 for bad input, 2 for a bad option, 130 if interrupted, and 3 where the command ended and says
    no: an update that is not promoted, or newer events that raise an alarm.

    Raises SystemExit with 2 for arguments that cannot be parsed.
    """
    gc.set_threshold(YOUNG)
    for stream in (sys.stdout, sys.stderr):  # characters that the encoding lacks are escaped
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments in (["--version"], ["-V"]):
        print(f"darlr {__version__}")
        return 0
    columns, colour = terminal()
    if columns < FEWEST:
        os.environ["COLUMNS"] = str(FEWEST)
    if arguments in (["--help"], ["-h"]) and sys.stdout.encoding == "utf-8" and columns >= NARROWEST:
        print("\n".join(overview(columns, colour=colour)))
        return 0
    from darlr.cli.dispatch import dispatch

    return dispatch(arguments)
