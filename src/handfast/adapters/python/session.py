"""Where a gate's calls go: the server, the credential and the session, from the environment."""

import os
import socket
import sys
from pathlib import Path

from handfast.client import Client, discovery
from handfast.client.request import Json
from handfast.core.domain.canonical import digest
from handfast.core.domain.errors import NotPermitted

SESSION_VARIABLE = "HANDFAST_SESSION"
HARNESS = "python"


def client() -> Client:
    """HANDFAST_URL (else the data folder's server) with HANDFAST_TOKEN, an agent's or a runner's.

    No credential is taken from a file: a function gets only what it was given. Raises NotPermitted,
    Unavailable.
    """
    token = os.environ.get(discovery.TOKEN_VARIABLE, "")
    if not token:
        raise NotPermitted(
            "HANDFAST_TOKEN is not set",
            code="no_credential",
            hint="Give the process an agent's token: `handfast agent token NAME`.",
        )
    url = os.environ.get(discovery.URL_VARIABLE) or discovery.server_url(discovery.data_folder())
    return Client(url, token)


def run_id() -> str:
    return os.environ.get(discovery.RUN_VARIABLE, "")


def session() -> Json:
    """The session of this program in this folder, the same after a crash: `calls.session_run` takes it."""
    cwd = str(Path.cwd())
    named = os.environ.get(SESSION_VARIABLE, "")
    own = digest([socket.gethostname(), cwd, sys.argv[0] if sys.argv else ""])
    session_id = named or f"python-{own[7:31]}"
    return {"session_id": session_id, "cwd": cwd, "harness": HARNESS, "mode": "enforce"}
