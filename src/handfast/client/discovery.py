"""Where the server is and which credential to use: environment first, then files in the data folder.

`handfast serve` writes `server.json` (`{"url", "pid", …}`) when it listens and removes it at its end.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.core.domain.errors import NotPermitted, Unavailable

SERVER_FILE: Final = "server.json"
OPERATOR_TOKEN: Final = "operator.token"  # noqa: S105 - a file's name
RUNNER_TOKEN: Final = "runner.token"  # noqa: S105 - a file's name
URL_VARIABLE, TOKEN_VARIABLE = "HANDFAST_URL", "HANDFAST_TOKEN"
RUN_VARIABLE, EPOCH_VARIABLE = "HANDFAST_RUN_ID", "HANDFAST_RUN_EPOCH"


@dataclass(frozen=True, slots=True)
class Found:
    url: str
    token: str


def data_folder() -> Path:
    """`HANDFAST_HOME`, else `handfast` in the user's data folder (XDG). Equal to `app.data_folder`,
    without loading a database library."""
    if home := os.environ.get("HANDFAST_HOME"):
        return Path(home).expanduser().absolute()
    shared = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(shared).expanduser().absolute() / "handfast"


def from_environment() -> Found:
    """Raises Unavailable when no server is known, NotPermitted when no credential is."""
    folder = data_folder()
    url = os.environ.get(URL_VARIABLE) or server_url(folder)
    token = os.environ.get(TOKEN_VARIABLE) or file_token(folder, OPERATOR_TOKEN)
    return Found(url, token)


def run_epoch(run_id: str) -> int | None:
    """The lease under which this process was started as part of that run, if it was: an agent whose run
    another runner has taken over starts nothing more."""
    epoch = os.environ.get(EPOCH_VARIABLE, "")
    ours = run_id and os.environ.get(RUN_VARIABLE) == run_id and epoch.isascii() and epoch.isdigit()
    return int(epoch) if ours else None


def server_url(folder: Path) -> str:
    """The address the server wrote. Raises Unavailable when there is none."""
    return str(_server(folder)["url"])


def _server(folder: Path) -> dict[str, object]:
    path = folder / SERVER_FILE
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("url"), str):
        raise Unavailable(
            f"no server has left its address in `{path}`",
            code="server_unknown",
            hint="Start it with `handfast serve`, or set HANDFAST_URL to where it is.",
        )
    return found


def file_token(folder: Path, name: str) -> str:
    """The credential in a file of the data folder. Raises NotPermitted when it cannot be read."""
    path = folder / name
    try:
        token = path.read_text("utf-8").strip()
    except OSError as error:
        raise NotPermitted(
            f"the credential `{path}` cannot be read: {error.strerror or error}",
            code="no_credential",
            hint="Run as the user who started the server, or set HANDFAST_TOKEN.",
        ) from None
    if not token:
        raise NotPermitted(f"the credential `{path}` is empty", code="no_credential")
    return token
