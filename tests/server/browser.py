"""A headless Chromium that tests drive through a pipe (the Chrome DevTools Protocol), without a library."""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "headless_shell", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--hide-scrollbars", "--mute-audio"),
    *("--disable-extensions", "--disable-background-networking", "--no-first-run", "--disable-dev-shm-usage"),
    "--disable-features=Translate,MediaRouter",
)
WAIT = """new Promise((found, failed) => {
  const until = Date.now() + %d, look = () => {
    let value;
    try { value = %s; } catch (error) { value = null; }
    if (value) found(value);
    else if (Date.now() > until) failed(new Error("not seen: " + %s));
    else setTimeout(look, 15);
  }; look(); })"""


def installed() -> str | None:
    """The path of a Chromium; DARLR_BROWSER names another one."""
    named = os.environ.get("DARLR_BROWSER")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a browser of its own."""

    def __init__(self, path: str) -> None:
        self._profile = tempfile.mkdtemp(prefix="darlr-browser-")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (theirs_in, theirs_out)]
        null = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, null, one) for one in (0, 1, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, high[0], 3), (os.POSIX_SPAWN_DUP2, high[1], 4)]
        arguments = [path, *FLAGS, f"--user-data-dir={self._profile}", "about:blank"]
        self._pid = os.posix_spawn(path, arguments, dict(os.environ), file_actions=actions, setsid=True)
        for fd in (theirs_in, theirs_out, *high, null):
            os.close(fd)
        self._last, self._rest, self._session = 0, b"", None
        self.said: list[str] = []  # errors of the page
        (target,) = [one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page"][:1]
        found = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """The result of a command."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._event(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _event(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"])[:2000])
        if event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.said.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def run(self, code: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        found = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, json.dumps(found["exceptionDetails"])[:2000] + str(self.said)
        return found["result"].get("value")

    def until(self, code: str, seconds: float = 20) -> Any:
        """The value of an expression, once it is true."""
        return self.run(WAIT % (1000 * seconds, code, json.dumps(code)))

    def open(self, address: str) -> None:
        """Open an address, and wait until it has loaded."""
        self.call("Page.navigate", url=address)
        self.until(f"location.href.startsWith({json.dumps(address)}) && document.readyState === 'complete'")

    def press(self, key: str) -> None:
        """Press and release a key, where the focus is."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        codes = {"Enter": 13, "ArrowDown": 40, "ArrowRight": 39, "Tab": 9, "Escape": 27}
        code = {"windowsVirtualKeyCode": codes[key]} if key in codes else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **code, **(text if kind == "keyDown" else {}))

    def shot(
        self, file: Path, width: int = 1280, height: int = 900, *, dark: bool = False, whole: bool = False
    ) -> None:
        """Write a picture of the page. whole: with what is below the window."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        narrow = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=narrow)
        self.run("new Promise((done) => setTimeout(done, 400))")
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        file.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        """End the browser and all its processes."""
        for fd in (self._out, self._in):
            os.close(fd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        shutil.rmtree(self._profile, ignore_errors=True)
