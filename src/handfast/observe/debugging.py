"""gdb: looking into a program of one's own, or into another process."""

import re
from itertools import pairwise

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.words import Word

_LOOKS = re.compile(
    r"(r|run|start)( [\w./=,:@ -]*)?|(bt|backtrace|where)\b[\w ]*|info [\w ]+|(p|print|x|display|ptype|whatis|list|l|disas\w*)(/\w+)?"
    r"( [\w.\[\]>*&$+:, -]+)?|(b|tb|break|tbreak|watch|catch|delete|frame|f|thread|t)( [\w.:*&>-]+)*|thread apply all (bt|backtrace)[\w ]*"
    r"|(c|continue|n|next|s|step|si|ni|finish|up|down|q|quit|kill|detach|nexti|stepi)( \d+)?|set (pagination|confirm|width|height|print \w+|args|follow-fork-mode|disassembly-flavor)\b[\w ./=-]*"
)
_COMMANDS = re.compile(r"-{1,2}(ex|eval-command|iex|init-eval-command)\Z")


def gdb(call: Invocation, case: Case) -> None:
    found = case.findings
    found.at_least(Effect.EXEC)
    found.headline(f"runs `{call.shown}`")
    found.detail(f"runs code: `{call.shown}`")
    texts = call.texts
    operands = [text for text in texts if not text.startswith("-")]
    if any(re.match(r"-{1,2}(p\b|pid|c\b|core)", text) for text in texts) or any(
        text.isdigit() for text in operands
    ):
        found.hazard("host.control", f"looks into another process: `{call.shown}`")
    told = [
        _value(flag, value)
        for flag, value in pairwise([*call.args, Word("")])
        if _COMMANDS.match(flag.text.partition("=")[0])
    ]
    if call.simple.stdin is not None:
        told += [
            Word(line, call.simple.stdin.sources) for line in call.simple.stdin.raw.splitlines()
        ]
    for word in told:
        if word.dynamic or not _LOOKS.fullmatch(word.text.strip()):
            found.opaque(
                "unread-language",
                f"gives a debugger commands that are not read here: `{word.shown[:80]}`",
            )
    if call.simple.fed:
        found.opaque("unread-language", f"feeds commands to `{call.shown}`")
    for flag, value in pairwise(call.args):
        if flag.text in {"-x", "--command", "-ix"} and case.obeys(value, call.simple.cwds):
            found.opaque("written-then-run", f"obeys {value.shown}, written just now")
    if "--args" in texts:
        case.argv(call.args[texts.index("--args") + 1 :], call.simple)


def _value(flag: Word, following: Word) -> Word:
    name, equals, _ = flag.text.partition("=")
    return flag.cut(len(name) + 1) if equals else following


HANDLERS = {"gdb": gdb}
