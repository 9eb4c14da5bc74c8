"""The server of tests/forked.py: a process that has imported everything, and runs each program in a fork of itself.

`python -m tests.forkserver ADDRESS` serves every process of a test run. It ends when the last of them has gone.
"""

import multiprocessing
import os
import runpy
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Listener, wait
from multiprocessing.reduction import recv_handle


@dataclass(frozen=True)
class Program:
    """What `python -m PROGRAM ARGUMENTS` or `python -c PROGRAM ARGUMENTS` runs, where, and where its output goes.

    environment: all its variables. piped: a handle of its standard input follows. limit: of the size of files.
    """

    kind: str
    program: str
    arguments: list[str]
    output: str
    errors: str
    piped: bool
    environment: dict[str, str]
    folder: str
    path: list[str]
    limit: tuple[int, int]


def serve(address: str) -> None:
    """Answer each `Program` by a fork, until no process stays connected, which it says by None."""
    import tests.warmed

    del tests.warmed
    staying: set[Connection] = set()
    with Listener(address, "AF_UNIX") as listener:
        ready = listener._listener._socket  # type: ignore[attr-defined]
        while True:
            for one in wait([ready, *staying]):
                if one is not ready:  # it says nothing, so it has gone
                    staying.remove(one)
                    continue
                connection = listener.accept()
                program = connection.recv()
                if program is None:
                    staying.add(connection)
                elif os.fork() == 0:
                    answer(program, connection)
                    os._exit(0)
                else:
                    connection.close()
            if not staying:
                os.unlink(f"{address}.lock")
                return
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def answer(program: Program, connection: Connection) -> None:
    """Run it in a process of its own; say the number of that process, and its exit code once it has ended."""
    stdin = recv_handle(connection) if program.piped else os.open(os.devnull, os.O_RDONLY)
    process = multiprocessing.get_context("fork").Process(target=start, args=(program, stdin))
    process.start()
    os.close(stdin)
    with suppress(OSError):  # the test has gone
        connection.send(process.pid)
        process.join()
        connection.send(process.exitcode)


def start(program: Program, stdin: int) -> None:
    """Be that program."""
    import resource

    os.chdir(program.folder)
    sys.path[:] = program.path
    for number, place in ((1, program.output), (2, program.errors)):
        os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.dup2(stdin, 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(program.environment)
    resource.setrlimit(resource.RLIMIT_FSIZE, program.limit)
    if program.kind == "-m":
        sys.argv = [program.program, *program.arguments]
        runpy.run_module(program.program, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *program.arguments]
        exec(compile(program.program, "<program>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    serve(sys.argv[1])
