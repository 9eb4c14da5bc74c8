"""Programs in a process of their own that start in milliseconds, as they are forks of one that has imported everything.

A fresh interpreter takes two seconds to import PyTorch. Here one server imports it once for all tests of a run, and
each program is a fork of that server (tests/forkserver.py). The server is a clean process: the hook that checks shapes
in tests is not installed there.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from multiprocessing.connection import Client, Connection, Pipe
from multiprocessing.reduction import send_handle
from pathlib import Path
from subprocess import PIPE, CompletedProcess
from typing import Any

from filelock import FileLock

from tests.forkserver import Program

__all__ = ["PIPE", "Popen", "run"]


@cache
def _server() -> tuple[str, Connection]:
    """Its address, and the connection that tells it that this process is still there. The first that asks starts it."""
    # All processes of a test run have one identity; a run of one process has its own.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"alone-{os.getpid()}")
    place = Path(tempfile.gettempdir(), f"darlr-forks-{run}")  # short: an address has 100 characters at most
    started = None
    with FileLock(f"{place}.lock"):
        while True:
            try:
                stay = Client(str(place), "AF_UNIX")
                break
            except OSError:
                if started is None:
                    place.unlink(missing_ok=True)  # of a server that has ended
                    command = [sys.executable, "-m", "tests.forkserver", str(place)]
                    started = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL)
                assert started.poll() is None, "the server of tests/forked.py has not started"
                time.sleep(0.01)
        stay.send(None)
    if started is not None:
        started.returncode = 0  # nobody waits for it, as it may serve others for longer
    return str(place), stay


def _limit() -> tuple[int, int]:
    import resource

    return resource.getrlimit(resource.RLIMIT_FSIZE)


def run(code: str, *arguments: object) -> "CompletedProcess[str]":
    """What `subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)` returns."""
    given = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        with output.open("w") as stdout, errors.open("w") as stderr:
            process = Popen([sys.executable, "-c", code, *given], None, stdout, stderr, dict(os.environ))
        return CompletedProcess(given, process.wait(), output.read_text("utf-8"), errors.read_text("utf-8"))


class Popen:
    """As much of `subprocess.Popen` as the scheduler of a comparison uses.

    command: `[python, "-m", module, *arguments]` or `[python, "-c", code, *arguments]`. stdin: PIPE, or None for an
    empty one. stdout and stderr: open files.
    """

    def __init__(
        self, command: list[str], stdin: int | None, stdout: Any, stderr: Any, env: dict[str, str], **_: object
    ):
        address, _ = _server()
        kind, program, *arguments = command[1:]
        assert kind in ("-m", "-c")
        files = str(stdout.name), str(stderr.name)
        self._told = Client(address, "AF_UNIX")
        self._code: int | None = None
        self._told.send(Program(kind, program, arguments, *files, stdin == PIPE, env, os.getcwd(), sys.path, _limit()))
        if stdin == PIPE:
            theirs, self.stdin = Pipe(duplex=False)
            send_handle(self._told, theirs.fileno(), None)
            theirs.close()
        self.pid: int = self._told.recv()

    def poll(self) -> int | None:
        """The exit code, once there is one; -n where signal n ended it."""
        return self.wait() if self._code is not None or self._told.poll() else None

    def wait(self) -> int:
        """The exit code, as soon as it has ended."""
        if self._code is None:
            self._code = self._told.recv()
            self._told.close()
        return self._code

    def kill(self) -> None:
        """As kill -9, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
