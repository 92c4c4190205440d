"""`handfast runner`: work beside a repository for a server elsewhere, and the registry of such runners."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from handfast.cli.catalogue import COMMANDS
from handfast.cli.output import Json, note, say, say_json, short_time, show_table
from handfast.core.domain.errors import NotFound, NotPermitted, UsageError

TOKEN_VARIABLE = "HANDFAST_RUNNER_TOKEN"  # noqa: S105 - a variable's name
TOKEN_PREFIX = "hfr_"  # noqa: S105 - how it begins
_DOES = {e.name: e.does for e in COMMANDS if e.group == "runner"}
app = App(name="runner", help=_DOES[""])


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Terms:
    """What a runner may take. What is left out bounds nothing.

    Parameters
    ----------
    repository
        Pattern of repositories it serves, as runs name them: `https://git.example.org/*`. May be repeated.
    agent
        Name or id of an agent it runs. May be repeated.
    label
        What it has: `gpu`, `net=prod`. A run that asks for labels goes only where all of them are.
    """

    repository: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    agent: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    label: Annotated[tuple[str, ...], Parameter(negative=())] = ()


@app.default
def start(
    *,
    server: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    token_file: Path | None = None,
    token: str = "",
    capacity: int = 4,
    port: int = 8484,
    as_json: Json = False,
) -> int:
    """Run only the runner, beside the workspaces, for a server elsewhere.

    SIGTERM drains it: calls that run may finish, then its runs are paused or given back, and another runner
    goes on with them. Exit code 4 when the server wants no more of it.

    Parameters
    ----------
    server
        The server's address: `https://handfast.example.org`. May be repeated for servers on one database;
        who does not answer is passed over. HANDFAST_URL when left out.
    token_file
        A file with the runner's token. HANDFAST_RUNNER_TOKEN when left out.
    token
        The token itself. It stands in the process list then: better a file or the variable.
    capacity
        How many runs it works on at once.
    port
        The port of the agents' hooks on loopback, 8484 when left out; 0 takes any free one.
    """
    from handfast.cli.serve import run_apart

    urls = tuple(url.rstrip("/") for url in server or (os.environ.get("HANDFAST_URL", ""),) if url)
    if not urls:
        raise UsageError("`--server` is missing", hint="handfast runner --server URL")
    if not 1 <= capacity <= 1000:
        raise UsageError(f"`--capacity` is {capacity}", hint="1 to 1000 runs at once.")
    for url in urls:
        _check(url, alone=len(urls) == 1)
    given = _given(token, token_file)
    return run_apart(urls, given, token_file, capacity, port, as_json=as_json)


@app.command(name="add", help=_DOES["add"])
def add(name: str, /, terms: Terms | None = None, *, as_json: Json = False) -> None:
    """Register a runner under a name of its own. Its token is printed once.

    Parameters
    ----------
    name
        What people will see: `builder on rack 3`.
    """
    from handfast.cli.runner_registry import runner_registry

    with runner_registry() as runners:
        made = runners.add(name, **asdict(terms or Terms()))
    _show_token(made, f"runner `{made['runner_id']}` registered as {name}", as_json=as_json)


@app.command(name="list", help=_DOES["list"])
def list_runners(*, as_json: Json = False) -> None:
    """List the runners: what they may take, when they were last heard of, which runs they hold."""
    from handfast.cli.runner_registry import runner_registry

    with runner_registry() as runners:
        items = runners.all()
    if as_json:
        say_json({"items": items})
        return
    rows = [
        (
            r["runner_id"],
            r["name"],
            r["state"],
            r.get("host", ""),
            short_time(r["heard_at"]) if r.get("heard_at") else "",
            f"{len(r.get('runs') or ())} of {r.get('capacity') or '-'}",
            ", ".join((*(r.get("labels") or ()), *(r.get("repositories") or ()))),
        )
        for r in items
    ]
    heads = ("id", "name", "state", "host", "heard (UTC)", "runs", "labels, repositories")
    show_table(heads, rows, "No runner has worked here yet.")


@app.command(name="token", help=_DOES["token"])
def issue(runner: str, /, *, as_json: Json = False) -> None:
    """Issue a new token; the one before is valid no more.

    Parameters
    ----------
    runner
        The runner's name or id.
    """
    from handfast.cli.runner_registry import runner_registry

    with runner_registry() as runners:
        made = runners.issue(_id(runners.all(), runner))
    _show_token(made, f"a new token for runner `{made['runner_id']}`", as_json=as_json)


@app.command(name="retire", help=_DOES["retire"])
def retire(runner: str, /, *, reason: str = "", as_json: Json = False) -> None:
    """Refuse a runner from now on. Its agents are ended, and others take its runs over.

    Parameters
    ----------
    runner
        The runner's name or id.
    reason
        Why; it stands in the audit trail.
    """
    from handfast.cli.runner_registry import runner_registry

    with runner_registry() as runners:
        done = runners.retire(_id(runners.all(), runner), reason)
    if as_json:
        say_json(done)
        return
    runs = done.get("runs") or ()
    say(
        f"runner `{done['runner_id']}` is retired"
        + (f"; {len(runs)} run(s) go on elsewhere" if runs else "")
    )


def _show_token(made: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    if as_json:
        say_json(made)
        return
    note(sentence)
    say(made["token"])
    note(
        "The token is not shown again. On the runner's machine, in a file that only its user may read:"
    )
    note("  handfast runner --server URL --token-file FILE")


def _id(items: list[dict[str, Any]], name_or_id: str) -> str:
    """Raises NotFound, naming the runners there are."""
    active = [r for r in items if r["state"] != "retired"]
    for item in (*active, *items):
        if name_or_id in (item["runner_id"], item["name"]):
            return str(item["runner_id"])
    names = ", ".join(str(r["name"]) for r in active[:10])
    raise NotFound(
        f"there is no runner `{name_or_id}`",
        hint=f"There are: {names}." if names else "Register it: `handfast runner add NAME`.",
    )


def _given(token: str, token_file: Path | None) -> str:
    """The token, from where it was given. The variable is not left to the agents."""
    variable = os.environ.pop(TOKEN_VARIABLE, "")
    if token and token_file:
        raise UsageError("`--token` and `--token-file` are both given", hint="Give one of them.")
    if token:
        note(
            f"Warning: `--token` stands in the process list. Use --token-file or {TOKEN_VARIABLE}."
        )
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise UsageError(f"the token file `{token_file}` cannot be read: {error}") from None
        if token_file.stat().st_mode & 0o077:
            note(f"Warning: others may read `{token_file}`: chmod 600 it.")
    token = token or variable
    if not token:
        raise NotPermitted(
            "the runner's token is missing",
            code="no_credential",
            hint=f"Give --token-file FILE or set {TOKEN_VARIABLE}: `handfast runner add NAME` prints one.",
        )
    if not token.startswith(TOKEN_PREFIX):
        raise UsageError(
            f"`{token_file}` does not hold a runner's token"
            if token_file
            else "this is no runner's token",
            hint="It begins with hfr_: `handfast runner add NAME` prints one, and the server's own is in "
            "`runner.token` of its data folder.",
        )
    return token


def _check(url: str, *, alone: bool) -> None:
    """Raises UsageError; warns of what a network may read."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or (parts.path and not alone):
        hint = "It looks like https://handfast.example.org; with several servers, without a path."
        raise UsageError(f"`--server` is `{url}`", hint=hint)
    try:
        near = ip_address(parts.hostname).is_loopback
    except ValueError:
        near = parts.hostname == "localhost"
    if parts.scheme == "http" and not near:
        note(
            f"Warning: {url} is not encrypted: its network can read and change what the agents do, and "
            "the runner's token. Put TLS before the server."
        )
