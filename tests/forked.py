"""Programs in a process of their own that start in milliseconds, as they are forks of one that has imported everything.

A fresh interpreter takes two seconds to import PyTorch. Here one server imports it once, and each program is a fork of
that server. The server is a clean process: the hook that checks shapes in tests is not installed there.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import PIPE, CompletedProcess
from typing import Any

__all__ = ["PIPE", "Popen", "run"]

_context = multiprocessing.get_context("forkserver") if sys.platform != "win32" else None
if _context is not None:
    _context.set_forkserver_preload(["tests.warmed"])


def _begin(output: str, errors: str, limit: tuple[int, int], environment: dict[str, str]) -> None:
    import resource

    for number, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    os.environ.update(environment)


def _limit() -> tuple[int, int]:
    import resource

    return resource.getrlimit(resource.RLIMIT_FSIZE)


def _code(code: str, arguments: list[str], *begin: Any) -> None:
    _begin(*begin)
    _program("-c", code, arguments)


def _program(kind: str, program: str, arguments: list[str]) -> None:
    if kind == "-m":
        sys.argv = [program, *arguments]
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *arguments]
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})


def run(code: str, *arguments: object) -> "CompletedProcess[str]":
    """What `subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)` returns."""
    assert _context is not None
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        given = [str(argument) for argument in arguments]
        process = _context.Process(target=_code, args=(code, given, str(output), str(errors), _limit(), {}))
        process.start()
        process.join()
        assert process.exitcode is not None
        return CompletedProcess(given, process.exitcode, output.read_text("utf-8"), errors.read_text("utf-8"))


def _piped(command: list[str], alive: Connection, *begin: Any) -> None:
    _begin(*begin)
    os.dup2(alive.fileno(), 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    _program(*command[1:3], command[3:])


class Popen:
    """As much of `subprocess.Popen` as the scheduler of a comparison uses.

    command: `[python, "-m", module, *arguments]` or `[python, "-c", code, *arguments]`. stdout and stderr: open files.
    """

    def __init__(self, command: list[str], stdin: int, stdout: Any, stderr: Any, env: dict[str, str], **_: object):
        assert _context is not None
        assert command[1] in ("-m", "-c")
        theirs, self.stdin = _context.Pipe(duplex=False)
        changed = {name: value for name, value in env.items() if os.environ.get(name) != value}
        begin = (str(stdout.name), str(stderr.name), _limit(), changed)
        self.process = _context.Process(target=_piped, args=(command, theirs, *begin))
        self.process.start()
        theirs.close()
        self.kill, self.pid = self.process.kill, self.process.pid

    def poll(self) -> int | None:
        """The exit code, once there is one."""
        return self.process.exitcode

    def wait(self) -> None:
        """Until it has ended."""
        self.process.join()
