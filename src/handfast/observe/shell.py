"""Facts from a shell command: every command in it, seen through quoting, wrappers and substitutions.

A filter, not a wall: what a program does once it runs is not seen here. What cannot be read is `opaque`.
"""

import re

from handfast.core.domain.action import Effect, Facts
from handfast.observe import (
    archives,
    behind,
    containers,
    control,
    databases,
    debugging,
    environments,
    execution,
    files,
    foreach,
    gitcalls,
    images,
    installing,
    languages,
    modules,
    network,
    processes,
    reading,
    recipes,
    secondparser,
    shellwords,
    ship,
    tasks,
    texttools,
    transfers,
    unknown,
    wrappers,
)
from handfast.observe.case import Case, Invocation
from handfast.observe.commands import Simple, feed
from handfast.observe.findings import Findings
from handfast.observe.options import names
from handfast.observe.outputs import known_output
from handfast.observe.places import Places
from handfast.observe.scope import Scope
from handfast.observe.syntax import Reader
from handfast.observe.textonly import Session
from handfast.observe.variables import Variables
from handfast.observe.words import BENEATH, DYNAMIC, Word

MAX_BYTES = 16 * 1024
MAX_COMMANDS = 400
# Each costs a process. A command that hides more texts than this inside others is deeper than is followed.
_MAX_OPINIONS = 12
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef]")

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")

HANDLERS = {
    **files.HANDLERS,
    **archives.HANDLERS,
    **texttools.HANDLERS,
    **network.HANDLERS,
    **transfers.HANDLERS,
    **processes.HANDLERS,
    **debugging.HANDLERS,
    **databases.HANDLERS,
    **tasks.HANDLERS,
    **gitcalls.HANDLERS,
    **control.HANDLERS,
    **languages.HANDLERS,
    **execution.HANDLERS,
    **modules.HANDLERS,
    **wrappers.HANDLERS,
    **foreach.HANDLERS,
    **shellwords.HANDLERS,
}


def shell_facts(command: str, scope: Scope, session: Session | None = None) -> Facts:
    """Facts about one command as bash would run it in `scope.cwd`.

    Reads the file system and may ask git, unless `scope` says that the text alone counts; then `session`
    may hold what earlier commands of the same run made, and is told what this one makes. Never raises for what the command says: what cannot be read
    makes it opaque.
    """
    findings = Findings()
    size = len(command.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        findings.at_least(Effect.EXEC)
        findings.opaque("too-long", f"is {size:,} bytes long; at most {MAX_BYTES:,} are read")
        return findings.facts()
    if _UNREADABLE.search(command):
        findings.at_least(Effect.EXEC)
        findings.opaque("control-characters", "holds control characters")
        return findings.facts()
    case = Case(Places(scope), findings, run_text, run_simple, session=session)
    if session is not None:
        session.begin(command)
    run_text(case, command, (str(scope.cwd),))
    return findings.facts()


def run_text(case: Case, command: str, cwds: tuple[str, ...]) -> None:
    """Examines every command of a shell text. Implements `Case.text`."""
    worktree = case.places.worktree
    reader = Reader(
        command,
        Variables(cwds, case.places.home, on_disk=case.on_disk),
        lambda commands: known_output(commands, worktree),
    )
    try:
        reader.read()
    except RecursionError:
        case.findings.at_least(Effect.EXEC)
        case.findings.opaque("nesting", "is nested too deeply to follow")
        return
    if case.places.scope.second_opinion and not reader.notes and secondparser.worth(command):
        case.opinions += 1
        if case.opinions > _MAX_OPINIONS or secondparser.differs(command, reader.commands):
            reader.notes.append("parsers-disagree")
    for note in dict.fromkeys(reader.notes):
        case.findings.at_least(Effect.EXEC)
        case.findings.opaque(note, "holds shell syntax that cannot be read")
    if len(reader.commands) > MAX_COMMANDS:
        case.findings.at_least(Effect.EXEC)
        case.findings.opaque("too-many-commands", f"holds more than {MAX_COMMANDS} commands")
        return
    if not case.depth:
        case.steps = reader.names
    if case.outer_input is not None:
        feed(reader.commands, case.outer_input)
        case.outer_input = None
    for simple in reader.commands:
        run_simple(case, simple)


def run_simple(case: Case, simple: Simple) -> None:
    """Examines one simple command. Implements `Case.argv`."""
    control.assignments(simple, case)
    installing.sources(simple, case)
    for word in simple.argv:
        control.variables(word, case)
    if simple.argv:
        _program(simple, case)
    files.redirections(simple, case)


def _program(simple: Simple, case: Case) -> None:
    program = simple.argv[0]
    if not program.text and len(simple.argv) == 1:
        return
    if not program.fixed or BENEATH in program.raw or not program.text:
        _unknown_program(program, simple, case)
        return
    if re.match(r"[A-Za-z_]\w*=", program.text):
        case.argv(simple.argv[1:], simple)
    if program.text in _RESERVED:
        case.findings.at_least(Effect.EXEC)
        case.findings.opaque("unread-syntax", "holds shell syntax that cannot be read")
        case.argv(simple.argv[1:], simple)
        return
    if case.depth > 1 and " " in program.text:  # a wrapper may hand one word to a shell
        case.text(program.text, simple.cwds)
    if _INVISIBLE.search(program.text):
        case.findings.opaque("control-characters", "names a command with characters nobody sees")
    call = Invocation(program.text.rstrip("/").rpartition("/")[2], program, simple.argv[1:], simple)
    if control.is_handfast(call.name):
        control.handfast(call, case)
        return
    with environments.watched(call, case):
        if not execution.is_system(program.text):
            _own_program(call, case)
        _dispatch(call, case)


# The grammar takes some compound commands apart into words, as in `! for …; do …; done`.
_RESERVED = names(
    "for while until if then else elif fi do done case esac in select function { } [[ ]] !"
)


def _unknown_program(program: Word, simple: Simple, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    wrappers.remote(program, case)
    case.findings.opaque(
        "dynamic-command", f"runs a command that is only known when it runs: `{program.shown}`"
    )
    # Whatever it is, what stands behind it may be a command too.
    if DYNAMIC in program.raw and len(simple.argv) > 1 and not simple.argv[1].is_option:
        case.argv(simple.argv[1:], simple)


def _own_program(call: Invocation, case: Case) -> None:
    """A program named by a path that is not the system's: its file is what runs."""
    case.findings.at_least(Effect.EXEC)
    known = call.name in HANDLERS or execution.interpreter(call.name)
    if not known or call.name in tasks.HANDLERS:
        execution.script(
            call.program, call.simple, case, shell_like=call.name.endswith((".sh", ".bash"))
        )


def _dispatch(call: Invocation, case: Case) -> None:
    control.ports(call, case) if call.name not in _QUIET else None
    reading.mentions(call, case)
    shellwords.evaluates(call, case)
    behind.steered(call, case)
    behind.folders(call, case)
    installing.check(call, case)
    shipped = ship.check(call, case)
    handler = HANDLERS.get(call.name)
    if call.name in databases.HANDLERS:
        shellwords.unsure_client(call, case)
    if call.name in {"docker", "podman", "nerdctl"}:
        containers.check(call, case)
    if call.name in {"docker", "podman", "nerdctl", "docker-compose", "podman-compose"}:
        images.check(call, case)
    if wrappers.runner(call, case):
        return
    looks = reading.check(call, case)
    if handler is not None:
        handler(call, case)
    elif execution.interpreter(call.name):
        if not looks:
            execution.interpret(call, case)
    elif not looks:
        _runs(call, case, known=shipped)


# Programs that print or search text: an address in it is not a connection.
_QUIET = names("echo printf grep egrep fgrep rg ag cat sed awk git true : test [ export")


def _runs(call: Invocation, case: Case, *, known: bool) -> None:
    """A program without a rule of its own: running code is a fact, not a hazard."""
    found = case.findings
    found.at_least(Effect.EXEC)
    found.headline(f"runs `{call.shown}`")
    found.detail(f"runs code: `{call.shown}`" if not known else f"runs `{call.shown}`")
    before = behind.look(call, case)
    unknown.look(call, case, known=known, words=before)
    named = recipes.by_name(call.name) if not known else None
    if named:
        found.hazard(named, f"`{call.shown}` by its name does this")
