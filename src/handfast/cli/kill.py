"""`handfast kill`: stop agents at once, and let them go again in stages. A person's, with a PIN."""

from typing import Any, Literal

from handfast.cli.control import server
from handfast.cli.output import Json, note, say, say_json, short_time
from handfast.cli.person import logged_in, sign
from handfast.client import calls, staff
from handfast.core.domain.errors import NotFound, UsageError


def everything(*, reason: str, as_json: Json = False) -> None:
    """Stop every agent. Asks for your PIN on the terminal.

    Parameters
    ----------
    reason
        Why; everybody reads it.
    """
    _kill("all", "all agents", reason, as_json=as_json)


def team(name: str, /, *, reason: str, as_json: Json = False) -> None:
    """Stop the agents of a team. Asks for your PIN on the terminal.

    Parameters
    ----------
    name
        The team, as it was given with `handfast agent add --team`.
    reason
        Why; everybody reads it.
    """
    _kill(f"team:{name}", f"the agents of team {name}", reason, as_json=as_json)


def agent(name: str, /, *, reason: str, as_json: Json = False) -> None:
    """Stop one agent. Asks for your PIN on the terminal.

    Parameters
    ----------
    name
        The agent's name or id.
    reason
        Why; everybody reads it.
    """
    (agent_id,) = _ids((name,))
    _kill(f"agent:{agent_id}", f"agent {name}", reason, as_json=as_json)


def release(
    *agents: str,
    reason: str,
    stage: Literal["review", "agents", "all"] | None = None,
    team: str = "",
    agent: str = "",
    as_json: Json = False,
) -> None:
    """Let go of what is stopped, a stage at a time. Asks for your PIN on the terminal.

    Parameters
    ----------
    agents
        Names or ids of agents that may act again; only with `--stage agents`.
    reason
        Why; it stands in the audit trail.
    stage
        `review`: people decide again and nothing runs. `agents`: only those named act. `all`: it is over.
    team
        The team that was stopped; everybody when left out.
    agent
        The one agent that was stopped; it has no stages.
    """
    if team and agent:
        raise UsageError("`--team` and `--agent` exclude each other", hint="Give one of them.")
    if stage is None and not agent:
        raise UsageError("`--stage` is missing", hint="review first, then agents or all.")
    scope = f"team:{team}" if team else f"agent:{_ids((agent,))[0]}" if agent else "all"
    wanted, named = stage or "all", _ids(agents)
    attempt = staff.release(scope, wanted, reason, named, {})
    with logged_in(f"release {scope} to {wanted}", attempt) as (control, terminal):
        signed = sign(terminal, f"Release {scope}, stage {wanted}")
        done = control.send(staff.release(scope, wanted, reason, named, signed.fields))
        signed.remember()
    _show(done["items"], as_json=as_json)


def status(*, as_json: Json = False) -> None:
    """Show what is stopped, by whom and why."""
    _show(server().send(staff.control()), as_json=as_json)


def _kill(scope: str, what: str, reason: str, *, as_json: bool) -> None:
    with logged_in(f"stop {scope}", staff.kill(scope, reason, {})) as (control, terminal):
        signed = sign(terminal, f"Stop {what}: no effect runs, what waits is frozen")
        done = control.send(staff.kill(scope, reason, signed.fields))
        signed.remember()
    _show(done["items"], as_json=as_json)
    if not as_json:
        note("Let go with: handfast kill release --stage review --reason …")


def _show(stopped: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        say_json({"items": stopped})
        return
    if not stopped:
        say("Nothing is stopped.")
    for stop in stopped:
        since = f" since {short_time(stop['at'])} UTC" if stop["at"] else ""
        say(f"{stop['scope']}  {stop['stage']}{since}")
        say(f"  {stop['says']}")
        if stop["stage"] == "agents":
            say(f"  may act: {', '.join(stop['agents'])}")


def _ids(names: tuple[str, ...]) -> list[str]:
    """Raises NotFound, naming the agents there are."""
    if not names:
        return []
    items = server().send(calls.agents())
    known = {key: str(a["agent_id"]) for a in items for key in (a["agent_id"], a["name"])}
    for name in names:
        if name not in known:
            there = ", ".join(str(a["name"]) for a in items[:10])
            hint = f"Registered: {there}." if there else "No agent is registered."
            raise NotFound(f"there is no agent `{name}`", hint=hint)
    return [known[name] for name in names]
