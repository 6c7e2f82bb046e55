"""A run's own Prefect server, where the user has none: it ends with the run, however that ends.

Prefect's ephemeral server is a child in the terminal's foreground group, so that a Ctrl-C ends it
before the flow, whose last calls to it then wait and fail for a minute; and it outlives a flow that
was killed. This one is in a session of its own, and watches its parent, as the engine does.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from ratchet.processes.child import Child, Program, child_environment, how_it_ended
from ratchet.processes.parent import end_with

START_SECONDS = 180.0
"""It takes 15 to 30 s on two cores."""
_END_SECONDS = 2.0
_QUIET = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


def users_own(home: Path) -> bool:
    """Whether the environment or the active profile below `home` names a server already."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    profiles = home / "profiles.toml"
    if not profiles.exists():
        return False
    known = tomllib.loads(profiles.read_text(encoding="utf-8"))
    active = os.environ.get("PREFECT_PROFILE") or known.get("active", "")
    return bool(known.get("profiles", {}).get(active, {}).get("PREFECT_API_URL"))


class OwnServer:
    """The server's process. `url` is what PREFECT_API_URL is set to."""

    def __init__(self, log: Path) -> None:
        self._log = log
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}/api"
        log.unlink(missing_ok=True)
        program = Program(
            module="flows.prefect_server",
            arguments=(str(port), str(os.getpid())),
            environment=child_environment(_QUIET, places=sys.path),
            log=log,
        )
        self._process = Child(program)

    def wait(self) -> None:
        """Until it answers.

        Raises:
            RuntimeError: if it ends, or does not answer in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if (code := self._process.exit_code()) is not None:
                raise RuntimeError(f"Prefect's server {how_it_ended(code)}; log: {self._log}")
            with suppress(URLError, TimeoutError, ConnectionError):
                urlopen(f"{self.url}/health", timeout=5).close()
                return
            time.sleep(0.2)
        self.close()
        raise RuntimeError(
            f"Prefect's server gave no answer in {START_SECONDS:g} s; log: {self._log}; a server "
            "that runs already is used where PREFECT_API_URL names it"
        )

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.close(_END_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def main() -> None:
    """Serve Prefect's API at the port and end with the parent given on the command line."""
    port, parent = int(sys.argv[1]), int(sys.argv[2])
    end_with(parent)
    import uvicorn

    app = "prefect.server.api.server:create_app"
    uvicorn.run(app, factory=True, host="127.0.0.1", port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    main()
