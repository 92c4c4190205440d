"""Built-in commands of the shell that keep code for later, or evaluate their arguments once more."""

import re

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.options import names
from handfast.observe.wrappers import text

# These evaluate subscripts and arithmetic in their arguments: `let 'a[$(cmd)]'` runs `cmd`.
_EVALUATING = names(
    "let test [ printf read unset declare typeset local export readonly wait mapfile readarray getopts"
)
_HIDDEN = re.compile(r"\[.*(\$\(|`)", re.DOTALL)
_KEEPS_CODE = {
    "compgen": ("-C", "-F", "-W"),
    "complete": ("-C", "-F", "-W"),
    "mapfile": ("-C",),
    "readarray": ("-C",),
    "bind": ("-x",),
}


def evaluates(call: Invocation, case: Case) -> None:
    """A substitution that quotes hide from the first reading but not from the second."""
    if call.name in _EVALUATING and any(_HIDDEN.search(word.text) for word in call.args):
        case.findings.at_least(Effect.EXEC)
        case.findings.opaque("hidden-substitution", f"evaluates its arguments: `{call.shown}`")
    if call.name in {"declare", "typeset", "local"} and any(
        re.fullmatch(r"-[A-Za-z]*n[A-Za-z]*", word.text) for word in call.args
    ):
        case.findings.opaque("alias", f"gives a variable another name: `{call.shown}`")


_CHANGES_DATA = re.compile(
    r"(?i)\b(drop|delete|truncate|alter|update|insert|create|grant|revoke|flush\w*|copy|call|do)\b"
)


def unsure_client(call: Invocation, case: Case) -> None:
    """A database client with an argument that may be `-c`: then any other argument may be what it runs."""
    first = next((index for index, word in enumerate(call.args) if word.may_be_option), None)
    if first is None:
        return
    others = call.args[:first] + call.args[first + 1 :]
    if any(word.dynamic or _CHANGES_DATA.search(word.text) for word in others):
        case.findings.opaque("dynamic-option", f"may run any of its words: `{call.shown}`")


def keeps_code(call: Invocation, case: Case) -> None:
    for flag, value in zip(call.args, call.args[1:], strict=False):
        if flag.text in _KEEPS_CODE[call.name]:
            case.findings.at_least(Effect.EXEC)
            case.findings.opaque("kept-code", f"keeps code the shell runs later: `{call.shown}`")
            text(value, call, case)


def renames(call: Invocation, case: Case) -> None:
    """`hash -p` and `enable -f` make a name run something else."""
    if any(re.match(r"-[a-z]*[pf]", word.text) for word in call.args):
        case.findings.at_least(Effect.EXEC)
        case.findings.opaque("alias", f"makes a name run something else: `{call.shown}`")


def history(call: Invocation, case: Case) -> None:
    changes = re.compile(r"-[a-z]*[scdrwap]")
    if call.name == "history" and not any(changes.match(word.text) for word in call.args):
        return
    case.findings.at_least(Effect.EXEC)
    case.findings.opaque("history", f"runs or changes earlier commands: `{call.shown}`")


HANDLERS = {
    **dict.fromkeys(_KEEPS_CODE, keeps_code),
    "hash": renames,
    "enable": renames,
    "fc": history,
    "history": history,
}
