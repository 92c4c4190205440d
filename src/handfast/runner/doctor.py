"""`handfast doctor`: checks every part a stopped call depends on, and proves the hook with the real program."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from handfast.client import Client, calls, discovery
from handfast.client.request import Json
from handfast.core.domain.codec import parse_time
from handfast.core.domain.errors import HandfastError
from handfast.runner import state
from handfast.runner.containment.probe import probe
from handfast.runner.hook_proof import Outcome, prove_hook
from handfast.runner.hook_status import (
    project_root,
    reasons_against,
    runner_health,
    sources,
    warnings,
)

OK, WARN, FAIL, SKIPPED = "ok", "warn", "fail", "skipped"
_MIN_GIT: Final = (2, 31)
_PROVEN_SERIES: Final = "2.1."
_PRIVATE: Final = (
    "keys/signing.key",
    "keys/data.key",
    "operator.token",
    "runner.token",
    "hooks.json",
)
_SOON: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Check:
    """`status` is ok, warn, fail or skipped; `remedy` says what to do when it is not ok."""

    name: str
    status: str
    detail: str
    remedy: str = ""


def find_binary(named: str = "") -> Path | None:
    """The agent program: the one named, else `claude` on PATH."""
    found = shutil.which(named or "claude")
    return Path(found) if found else None


def examine(
    home: Path, project: Path, now: datetime, *, binary: Path | None = None, prove: bool = True
) -> list[Check]:
    """All checks, in the order in which to repair. `binary` is the agent program (`find_binary`).

    `prove` runs that program once, against a stand-in for the model; nothing leaves this machine.
    """
    root = project_root(project)
    checks: list[Check] = [
        *_each(lambda: _data_folder(home)),
        *_each(_git),
        *_each(_containment),
        *_each(lambda: _server(home)),
        *_each(lambda: _runner(home, root)),
        *_each(lambda: _settings(home, root)),
        *_each(lambda: _token(home, root, now)),
        *_each(lambda: _program(binary)),
    ]
    installed = state.hook_at(home, root) is not None
    if prove and binary is not None and installed:
        checks += _each(lambda: _proof(binary, root, home))
    else:
        checks.append(_unproven(binary, installed=installed))
    return checks


def report(checks: list[Check]) -> Json:
    """As JSON. `status` is the worst of them."""
    order = (SKIPPED, OK, WARN, FAIL)
    worst = max((each.status for each in checks), key=order.index, default=OK)
    return {"status": worst, "checks": [asdict(each) for each in checks]}


def _each(check: Callable[[], Iterator[Check]]) -> list[Check]:
    """A check that fails to check says so; the others go on."""
    try:
        return list(check())
    except (OSError, HandfastError, subprocess.SubprocessError) as error:
        return [Check("check", FAIL, f"a check failed itself: {error}")]


def _data_folder(home: Path) -> Iterator[Check]:
    if not home.is_dir():
        yield Check(
            "data folder", FAIL, f"`{home}` is not there", "Start it once: `handfast serve`."
        )
        return
    open_to_others = [
        name
        for name in ("", *_PRIVATE)
        if (home / name).exists() and stat.S_IMODE((home / name).stat().st_mode) & 0o077
    ]
    if open_to_others:
        names = ", ".join(f"`{home / name}`" for name in open_to_others)
        yield Check(
            "data folder",
            FAIL,
            f"other users of this machine can read {names}",
            f"Take their rights away: `chmod -R go= {home}`; then issue new tokens.",
        )
        return
    yield Check("data folder", OK, f"`{home}`, keys and tokens are its owner's alone")


def _git() -> Iterator[Check]:
    ran = subprocess.run(
        ["git", "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    found = re.search(r"(\d+)\.(\d+)", ran.stdout)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < _MIN_GIT:
        wanted = ".".join(map(str, _MIN_GIT))
        yield Check(
            "git",
            FAIL,
            ran.stdout.strip() or "git cannot be run",
            f"Install git {wanted} or newer.",
        )
        return
    yield Check("git", OK, ran.stdout.strip())


def _containment() -> Iterator[Check]:
    found = probe(os.environ.get("PATH", ""))
    if found.works:
        yield Check("containment", OK, f"`{found.program}` works: runs are contained")
        return
    yield Check(
        "containment",
        WARN,
        f"runs are not contained: {found.reason}",
        "Until then a gate only filters; `handfast run --contained require` refuses to start.",
    )


def _server(home: Path) -> Iterator[Check]:
    try:
        client = Client.from_data_folder(home, timeout_s=5)
    except HandfastError as error:
        yield Check("server", FAIL, error.message, error.hint)
        return
    with client:
        try:
            health = client.send(calls.health())
            status = client.send(calls.hook_status())
        except HandfastError as error:
            yield Check("server", FAIL, error.message, error.hint)
            return
    database = str(health.get("database", "?"))
    good = health.get("status") == "ok"
    yield Check(
        "server", OK if good else WARN, f"{client.url}, version {health.get('version', '?')}"
    )
    yield Check("database", OK if database == "ok" else WARN, database)
    if status.get("paused_until"):
        yield Check(
            "mode",
            WARN,
            f"hooks are paused until {status['paused_until']}",
            "`handfast hook resume` ends it.",
        )
    elif status.get("mode") == "observe":
        yield Check(
            "mode",
            WARN,
            "observe: calls are recorded, none is stopped",
            "`handfast hook mode enforce` stops them.",
        )
    else:
        yield Check("mode", OK, "enforce")


def _runner(home: Path, root: Path) -> Iterator[Check]:
    hook = state.hook_at(home, root)
    health = runner_health(hook.url if hook else state.runner_url(home))
    if not health["reachable"]:
        yield Check(
            "runner",
            FAIL,
            f"{health.get('url', '')} {health['problem']}".strip(),
            "Start it with `handfast serve`. Until then calls with an effect are refused.",
        )
        return
    spool = health.get("spool") or {}
    if spool.get("dropped") or spool.get("refused"):
        yield Check(
            "runner",
            WARN,
            f"{spool.get('dropped')} records were dropped and {spool.get('refused')} refused",
            "They are missing from the record; the refused ones are in `spool/refused.jsonl`.",
        )
        return
    if health.get("trouble"):
        yield Check(
            "runner", WARN, str(health["trouble"]), "Records are kept until the server takes them."
        )
        return
    yield Check("runner", OK, str(health["url"]))


def _settings(home: Path, root: Path) -> Iterator[Check]:
    hook = state.hook_at(home, root)
    against = reasons_against(sources(root))
    if against:
        yield Check(
            "settings",
            FAIL,
            "; ".join(against),
            "Repair what is named, or install again: `handfast hook install claude-code --project`.",
        )
    else:
        yield Check("settings", OK, f"the hook is in the settings that count for `{root}`")
    for each in warnings(root, hook.url if hook else ""):
        yield Check("settings", WARN, each)
    if hook is not None and hook.scope == "user":
        yield Check(
            "settings",
            WARN,
            "the hook is in the user's settings, which a project's own files can switch off",
            "`handfast hook install claude-code --project` holds against them.",
        )


def _token(home: Path, root: Path, now: datetime) -> Iterator[Check]:
    hook = state.hook_at(home, root)
    if hook is None:
        return
    again = "Install again: `handfast hook install claude-code` issues a new one."
    if hook.expires_at and parse_time(hook.expires_at) - now < _SOON:
        yield Check("token", WARN, f"the hook's token ends {hook.expires_at}", again)
    try:
        url = os.environ.get(discovery.URL_VARIABLE) or discovery.server_url(home)
        with Client(url, hook.token, timeout_s=5, tries=1) as client:
            client.send(calls.hook_status())
    except HandfastError as error:
        yield Check(
            "token", FAIL, f"the server does not take the hook's token: {error.message}", again
        )
        return
    yield Check("token", OK, f"the hook reports as agent `{hook.agent_name}`")


def _program(binary: Path | None) -> Iterator[Check]:
    if binary is None:
        yield Check(
            "agent program",
            WARN,
            "`claude` is not on PATH",
            "Name it: `handfast doctor --binary /path/to/claude`.",
        )
        return
    ran = subprocess.run(
        [str(binary), "--version"], capture_output=True, text=True, check=False, timeout=30
    )
    version = (ran.stdout.split() or ["?"])[0]
    if not version.startswith(_PROVEN_SERIES):
        yield Check(
            "agent program",
            WARN,
            f"`{binary}` is version {version}; the hook was proven with {_PROVEN_SERIES}x",
            "Trust the proof below, and run it again after each update.",
        )
        return
    yield Check("agent program", OK, f"`{binary}`, version {version}")


def _proof(binary: Path, root: Path, home: Path) -> Iterator[Check]:
    proof = prove_hook(binary, root, home)
    if proof.outcome is Outcome.PROVEN:
        yield Check("proof", OK, proof.detail)
        return
    remedy = (
        "The hook is off: look at `handfast hook status`."
        if proof.outcome is Outcome.RAN
        else "Repair what the checks above name, then run `handfast doctor` again."
    )
    yield Check("proof", FAIL, proof.detail, remedy)


def _unproven(binary: Path | None, *, installed: bool) -> Check:
    if not installed:
        return Check(
            "proof",
            WARN,
            "no hook is installed for this folder",
            "`handfast hook install claude-code --project`",
        )
    why = "the agent program was not found" if binary is None else "not asked for"
    return Check("proof", SKIPPED, f"the hook was not proven: {why}")
