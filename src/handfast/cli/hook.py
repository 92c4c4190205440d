"""`handfast hook`: the hook in an agent's harness. Loosening it is a person's, with a PIN."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from handfast.cli.control import running, server
from handfast.cli.durations import seconds
from handfast.cli.output import Json, note, say, say_json, short_time
from handfast.cli.person import logged_in, sign
from handfast.client import calls, discovery
from handfast.core.domain.errors import UsageError

Harness = Literal["claude-code"]
Flag = Annotated[bool, Parameter(negative=())]
_RUNNER_URL = "http://127.0.0.1:8484"
MAX_PAUSE_MIN = 8 * 60  # as the server has it; said before the PIN is asked for


def _there(folder: Path | None) -> Path:
    """The project's folder. Raises UsageError for one that is not there: a hook in it would cover nothing."""
    if folder is not None and not folder.is_dir():
        raise UsageError(f"`--folder` is `{folder}`, which is no folder", hint="Check the path.")
    return folder or Path.cwd()


def install(
    harness: Harness,
    /,
    *,
    project: Flag = False,
    user: Flag = False,
    folder: Path | None = None,
    agent: str = "",
    as_json: Json = False,
) -> None:
    """Put the hook into an agent's settings, for a project or for your account.

    Parameters
    ----------
    harness
        `claude-code`.
    project
        Into this project's local settings, which are not committed.
    user
        Into your own settings: every project is covered.
    folder
        The project's folder; the current one when left out.
    agent
        The name under which the agent is registered.
    """
    from handfast.runner import install as installing
    from handfast.runner import state

    scope, home = _scope(project=project, user=user), discovery.data_folder()
    where = _there(folder)
    with server().client() as client:
        done = installing.install(
            client,
            home,
            state.runner_url(home) or _RUNNER_URL,
            scope=scope,
            project=where,
            agent_name=agent,
        )
    if as_json:
        say_json({**asdict(done), "harness": harness})
        return
    say(f"the hook {'is' if done.changed else 'stood already'} in {done.path}")
    say(f"agent `{done.agent_id}`, {done.agent_name}")
    say(_sentence({"mode": done.mode}))
    for line in done.notes:
        note(f"Note: {line}")


def uninstall(
    harness: Harness,
    /,
    *,
    project: Flag = False,
    user: Flag = False,
    folder: Path | None = None,
    as_json: Json = False,
) -> None:
    """Take the hook out again, and revoke its token. Other settings stay as they are.

    Parameters
    ----------
    harness
        `claude-code`.
    project
        Out of this project's local settings.
    user
        Out of your own settings.
    folder
        The project's folder; the current one when left out.
    """
    from handfast.runner import install as installing

    scope, control = _scope(project=project, user=user), running()
    with control.client() if control else nullcontext() as client:
        done = installing.uninstall(
            client, discovery.data_folder(), scope=scope, project=folder or Path.cwd()
        )
    if as_json:
        say_json({**done, "harness": harness})
        return
    say(f"the hook {'is out of' if done['changed'] else 'was not in'} {done['path']}")
    if done["token_left"]:
        note("Its token could not be revoked: see `handfast agent list` when the server runs.")


def _scope(*, project: bool, user: bool) -> str:
    if project == user:
        raise UsageError(
            "say where: `--project` or `--user`", hint="--project is the smaller step."
        )
    return "project" if project else "user"


def status(*, folder: Path | None = None, as_json: Json = False) -> None:
    """Show mode, pause, where the hook is installed, and what speaks against it.

    Parameters
    ----------
    folder
        The project's folder; the current one when left out.
    """
    from handfast.runner import hook_status

    where, control = _there(folder), running()
    with control.client() if control else nullcontext() as client:
        found = hook_status.status(discovery.data_folder(), where, client)
    if as_json:
        say_json(found)
        return
    if found["mode"]:
        say(_sentence(found))
    for line in found["killed"]:
        say(f"STOPPED: {line}")
    covered = "is seen by the hook" if found["covered"] else "is NOT covered"
    say(f"A session in {found['project']} {covered}.")
    for line in found["why_not"]:
        say(f"  - {line}")
    for line in found["warnings"]:
        say(f"Warning: {line}")
    for file in found["files"]:
        if file["has_hook"]:
            say(f"{file['scope']}: {file['path']}")
    for name in ("server", "runner"):
        part = found[name]
        answers = f"answers on {part['url']}" if part["reachable"] else part["problem"]
        say(f"{name}: {answers}")


def _sentence(found: dict[str, Any]) -> str:
    if found.get("paused_until"):
        until = short_time(found["paused_until"])
        return f"PAUSED until {until} UTC: everything is let through and recorded"
    if found["mode"] == "observe":
        return "observe: nothing is stopped, everything is recorded"
    return "enforce: what the policy gates waits for a person"


def pause(duration: str, /, *, reason: str = "", as_json: Json = False) -> None:
    """Let everything through for a while. Asks for your PIN on the terminal, and ends by itself.

    Parameters
    ----------
    duration
        How long: 15m, 2h; at most 8h.
    reason
        Why; it stands in the audit trail.
    """
    minutes, rest = divmod(seconds(duration, "duration"), 60)
    if rest or not 0 < minutes <= MAX_PAUSE_MIN:
        hint = "Give whole minutes, at most 8 hours: 15m, 2h."
        raise UsageError(f"`duration` is `{duration}`", hint=hint)
    attempt = calls.pause_hooks(minutes, reason, "", "")
    with logged_in(f"pause the hook for {duration}", attempt) as (control, terminal):
        signed = sign(terminal, f"Pause the hook for {duration}: nothing will be stopped")
        done = control.send(calls.pause_hooks(minutes, reason, signed.login, signed.pin))
        signed.remember()
    if as_json:
        say_json(done)
    else:
        say(
            f"paused until {short_time(done['paused_until'])} UTC; end it with: handfast hook resume"
        )


def resume(*, as_json: Json = False) -> None:
    """End a pause early."""
    done = server().send(calls.resume_hooks())
    if as_json:
        say_json(done)
    else:
        say(_sentence(done))


def mode(mode: Literal["observe", "enforce"], /, *, as_json: Json = False) -> None:
    """Switch between observe and enforce, for sessions that start from now on.

    Loosening asks for your PIN on the terminal; tightening does not.

    Parameters
    ----------
    mode
        `observe` records what would have been stopped, `enforce` stops it.
    """
    if mode == "enforce":
        done = server().send(calls.set_hook_mode(mode))
    else:
        with logged_in(f"set the hook to {mode}", calls.set_hook_mode(mode)) as (control, terminal):
            signed = sign(terminal, "Set the hook to observe: nothing will be stopped")
            done = control.send(calls.set_hook_mode(mode, signed.login, signed.pin))
            signed.remember()
    if as_json:
        say_json(done)
    else:
        say(_sentence(done))
