"""A server from its options, until it is told to end."""

import signal
import socket
import sys
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from darlr.decisions.log import DecisionLog
from darlr.decisions.read import request_ids
from darlr.decisions.records import Sink
from darlr.errors import MachineError
from darlr.options.serving import ServeConfig
from darlr.server.app import make_app
from darlr.server.arms import open_arms
from darlr.server.engine import Engine
from darlr.server.keys import read_keys
from darlr.server.metrics import Metrics
from darlr.server.page.desk import Desk
from darlr.server.patient import Patient
from darlr.server.service import Service
from darlr.server.sink import Memory
from darlr.serving.served import ROWS

SWITCH = 0.0005  # seconds between changes of threads; the interpreter's 5 ms would show in the slowest answers


def application(config: ServeConfig, sink: Sink | None = None) -> FastAPI:
    """The application of a server. Raises ConfigError, DataError and RunError for options that cannot work.

    sink: where decisions go; None = to the folder that the options name, else to memory.
    """
    keys = read_keys(config.keys, config.host)
    arms, metrics = open_arms(config.runs, config.weights, config.threads), Metrics()
    metrics.serves(arms)
    kept = sink or (Memory() if config.decisions is None else DecisionLog(config.decisions))
    engine = Engine(config.waiting, ROWS, metrics.together.observe)
    earlier = request_ids(config.decisions) if config.decisions is not None else ()
    service = Service(arms, engine, kept, config.choose, metrics, earlier, keep_unknown=config.keep_unknown)
    return make_app(service, keys, Desk(service) if config.page else None)


def serve(config: ServeConfig, ready: Callable[[str], object], say: Callable[[str], object]) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way. ready: is told the address. say: other messages.

    Raises what `application` raises, MachineError where the address cannot be used, and RunError where decisions could
    not be written at the end.
    """
    app = application(config)
    sink = app.state.service.sink
    if isinstance(sink, DecisionLog) and sink.recovered.segments:
        say(f"{sink.folder}: {sink.recovered}")
    try:
        listening = socket.create_server((config.host, config.port), family=_family(config.host), backlog=1024)
    except (OSError, OverflowError) as error:
        raise MachineError(
            f"option port: {config.host}:{config.port} cannot be used ({error}); name another"
        ) from error
    sys.setswitchinterval(SWITCH)
    host, port = listening.getsockname()[:2]
    ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn ends, and then sends the signal again
    with listening:
        uvicorn.Server(settings(app, config)).run(sockets=[listening])
    sink.close()  # again, as the application's end passes over an error


def settings(app: FastAPI, config: ServeConfig) -> uvicorn.Config:
    """How the application meets the network."""
    return uvicorn.Config(
        app,
        http=Patient,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=config.drain,
    )


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
