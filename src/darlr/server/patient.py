"""Connections of clients that are too slow are closed, so that they hold nothing that others need.

Bodies have a limit of their own (`darlr.server.limits`), because whoever sends one gets a problem document.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from darlr.server import limits

LATE = STATUS_LINE[408] + b"content-length: 0\r\nconnection: close\r\n\r\n"


class Patient(HttpToolsProtocol):
    """One connection. Its headers must arrive, and its answers must be taken, within `limits.PATIENCE` seconds.

    The time of headers counts from the start of the connection, or from the first byte of a later request.
    """

    _timer: asyncio.TimerHandle | None = None
    _begun = False
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more, and let nothing be written to a connection that is gone."""
        self._rest()
        for cycle, _ in self.pipeline:
            cycle.disconnected = True
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came, and wait for the rest of headers that came in part."""
        super().data_received(data)
        if self._begun and self._timer is None and not self.transport.is_closing():
            self._wait()

    def on_message_begin(self) -> None:
        """The first byte of a request came."""
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """All headers of a request came."""
        self._begun = False
        self._rest()
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        """Wait for a client that does not take its answer."""
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        """The client took enough of it."""
        self._rest()
        super().resume_writing()

    def _wait(self) -> None:
        self._rest()
        self._timer = self.loop.call_later(limits.PATIENCE, self._late)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        busy = self._answering is not None and not self._answering.response_complete
        if self._begun and not busy:
            self.transport.write(LATE)
            self.transport.close()
        else:
            self.transport.abort()
