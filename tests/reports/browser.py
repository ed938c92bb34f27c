"""A headless Chromium driven over pipes with its DevTools protocol: no port, no driver, no package."""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any


class Browser:
    """One Chromium with one tab. `requests` and `complaints` fill as messages of the tab arrive."""

    def __init__(self, executable: str, profile: Path, width: int = 1280, height: int = 900) -> None:
        low_read, self._write = os.pipe()
        self._read, low_write = os.pipe()
        # The browser reads descriptor 3 and writes descriptor 4. A shell moves them there, from numbers out of the way.
        to_read, to_write = (fcntl.fcntl(low, fcntl.F_DUPFD, 20) for low in (low_read, low_write))
        command = (
            f'exec "$0" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run'
            f' --disable-background-networking --disable-sync --disable-component-update --user-data-dir="$1"'
            f" --window-size={width},{height} --remote-debugging-pipe about:blank"
            f" 3<&{to_read} 4>&{to_write}"
        )
        self._process = subprocess.Popen(
            ["bash", "-c", command, executable, str(profile)],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile)},
        )
        for descriptor in (low_read, low_write, to_read, to_write):
            os.close(descriptor)
        self._buffer = b""
        self._last = 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []
        targets = self._send("Target.getTargets")["targetInfos"]
        (page,) = [target for target in targets if target["type"] == "page"]
        self._session = self._send("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Open a file and wait until the page says that it is ready."""
        self.requests.clear()
        self.complaints.clear()
        self._send("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + 15
        ready = f"location.href === {json.dumps(path.as_uri())} && document.documentElement?.dataset.ready === 'yes'"
        while not self.evaluate(ready):
            if time.monotonic() > deadline or self.complaints:
                raise AssertionError(f"the page is not ready; complaints: {self.complaints}")
            time.sleep(0.02)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, or of the promise that it gives."""
        answer = self._send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """Set the size of the view in CSS pixels."""
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """Prefer the colour scheme ``dark`` or ``light``."""
        self._send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self) -> str:
        """Return a picture of the whole page as PNG in base64."""
        return self._send("Page.captureScreenshot", captureBeyondViewport=True)["data"]

    def close(self) -> None:
        """End the browser."""
        self._session = None
        try:
            self._send("Browser.close")
            self._process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError("Chromium does not answer")
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise AssertionError("Chromium ended")
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(line)
        what, details = message.get("method"), message.get("params", {})
        if what == "Network.requestWillBeSent":
            self.requests.append(details["request"]["url"])
        elif what == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(details["exceptionDetails"]))
        elif what == "Log.entryAdded":
            self.complaints.append(details["entry"]["text"])
        elif what == "Runtime.consoleAPICalled" and details["type"] in {"error", "warning", "assert"}:
            self.complaints.append(json.dumps(details["args"]))
        return message
