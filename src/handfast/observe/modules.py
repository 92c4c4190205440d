"""Python's own modules that take code or a folder on the command line: `python -m timeit CODE`."""

import re

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.execution import inline_code, interpreter_input
from handfast.observe.options import parse


def timed(call: Invocation, case: Case) -> None:
    """timeit: the setup and every operand are code."""
    parsed = parse(call.args, "nrsu", frozenset({"--number", "--repeat", "--setup", "--unit"}))
    for word in [*parsed.all_values("-s", "--setup"), *parsed.operands]:
        inline_code("python", word, call, case)


def debugger(call: Invocation, case: Case) -> None:
    """pdb: its `-c` commands may be statements."""
    for word in parse(call.args, "cm", frozenset({"--command"})).all_values("-c", "--command"):
        inline_code("python", word, call, case)


def console(call: Invocation, case: Case) -> None:
    """code, asyncio: an interactive console obeys what it is fed."""
    interpreter_input("python", call, case)


def unpacks(call: Invocation, case: Case) -> None:
    """tarfile, zipfile: `-e ARCHIVE FOLDER` writes the folder."""
    for index, word in enumerate(call.args):
        if re.match(r"-e|--extract", word.text):
            for target in call.args[index + 2 :][:1]:
                case.writes(target, call.simple.cwds, "unpacks into")


def environment(call: Invocation, case: Case) -> None:
    """venv, virtualenv: the folder is written, and with `--clear` emptied first."""
    case.findings.at_least(Effect.EXEC)
    case.findings.detail(f"runs code: `{call.shown}`")
    parsed = parse(call.args, "p", frozenset({"--python", "--prompt"}))
    for word in parsed.operands:
        case.writes(word, call.simple.cwds, "makes an environment in")
        if parsed.has("", "--clear") and not re.search(r"env[\w.-]*/?\Z", word.text):
            case.deletes([word], call.simple.cwds, recursive=True)


def watched(call: Invocation, case: Case) -> None:
    """cProfile, trace, coverage: `-m MODULE` runs it as `python -m` does."""
    case.findings.at_least(Effect.EXEC)
    case.findings.headline(f"runs `{call.shown}`")
    case.findings.detail(f"runs code: `{call.shown}`")
    if "-m" in call.texts:
        case.argv(call.args[call.texts.index("-m") + 1 :], call.simple)


HANDLERS = {
    **dict.fromkeys(("venv", "virtualenv"), environment),
    **dict.fromkeys(("cProfile", "profile", "trace", "coverage"), watched),
    "timeit": timed,
    "pdb": debugger,
    "code": console,
    "asyncio": console,
    "tarfile": unpacks,
    "zipfile": unpacks,
}
