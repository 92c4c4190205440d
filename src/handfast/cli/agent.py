"""`handfast agent`: the registry of agents and their tokens."""

from typing import Annotated

from cyclopts import Parameter

from handfast.cli.durations import seconds
from handfast.cli.output import Json, note, say, say_json, short_time, show_table
from handfast.cli.registry import Registry, registry
from handfast.core.domain.errors import NotFound


def add(
    name: str, /, *, harness: str = "claude-code", team: str = "", as_json: Json = False
) -> None:
    """Register an agent under a name of its own.

    Parameters
    ----------
    name
        What people will see: `claude on laptop`.
    harness
        The program that runs it: `claude-code`, or `none` for any other command line.
    team
        Whom it works for: `handfast kill team` stops a team together.
    """
    with registry() as agents:
        done = agents.add(name, harness, team)
    if as_json:
        say_json(done)
        return
    say(f"agent `{done['agent_id']}` registered as {name}")
    note(f"Next: handfast agent token '{name}'")


def list_agents(*, as_json: Json = False) -> None:
    """List the registered agents."""
    with registry() as agents:
        items = agents.all()
    if as_json:
        say_json({"items": items})
        return
    rows = [
        (
            a["agent_id"],
            a["name"],
            a["harness"],
            a.get("team", ""),
            "suspended" if a.get("suspended") else "active",
            len(tokens) if isinstance(tokens := a.get("tokens"), list | dict) else 0,
        )
        for a in items
    ]
    show_table(
        ["id", "name", "harness", "team", "status", "tokens"], rows, "No agent is registered yet."
    )


def token(
    agent: str,
    /,
    *,
    scope: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    expires: str = "30d",
    as_json: Json = False,
) -> None:
    """Issue a token for an agent. It is printed once and stored only as a hash.

    Parameters
    ----------
    agent
        The agent's name or id.
    scope
        `propose`, `record`, `redeem` or `read`; may be given several times. All when left out.
        No token can ever decide.
    expires
        How long it is valid: 45s, 15m, 8h or 30d.
    """
    ttl = seconds(expires, "--expires")
    with registry() as agents:
        issued = agents.issue(_agent_id(agents, agent), scope, ttl)
    if as_json:
        say_json(issued)
        return
    say(issued["token"])
    note(f"Token `{issued['token_id']}`, valid until {short_time(issued['expires_at'])} UTC.")
    note("It is not shown again. Give it to the agent as HANDFAST_TOKEN.")


def suspend(agent: str, /, *, reason: str, as_json: Json = False) -> None:
    """Deny everything an agent asks from now on.

    Parameters
    ----------
    agent
        The agent's name or id.
    reason
        Why; it stands in the audit trail.
    """
    with registry() as agents:
        done = agents.suspend(_agent_id(agents, agent), reason)
    _answer(done, f"agent `{done['agent_id']}` is suspended", as_json=as_json)


def reinstate(agent: str, /, *, reason: str, as_json: Json = False) -> None:
    """End a suspension.

    Parameters
    ----------
    agent
        The agent's name or id.
    reason
        Why; it stands in the audit trail.
    """
    with registry() as agents:
        done = agents.reinstate(_agent_id(agents, agent), reason)
    _answer(done, f"agent `{done['agent_id']}` is active again", as_json=as_json)


def revoke(token_id: str, /, *, as_json: Json = False) -> None:
    """Make one token invalid at once.

    Parameters
    ----------
    token_id
        The `tok_…` that was printed with the token.
    """
    with registry() as agents:
        done = agents.revoke(token_id)
    _answer(done, f"token `{token_id}` is revoked", as_json=as_json)


def _answer(done: dict[str, object], sentence: str, *, as_json: bool) -> None:
    if as_json:
        say_json(done)
    else:
        say(sentence)


def _agent_id(agents: Registry, name_or_id: str) -> str:
    """Raises NotFound, naming the agents there are."""
    items = agents.all()
    for item in items:
        if name_or_id in (item["agent_id"], item["name"]):
            return str(item["agent_id"])
    names = ", ".join(str(item["name"]) for item in items[:10])
    raise NotFound(
        f"there is no agent `{name_or_id}`",
        hint=f"Registered: {names}." if names else "Register it: `handfast agent add NAME`.",
    )
