"""sed, awk and other filters that can also write or run."""

import re
from collections.abc import Iterator

from handfast.core.domain.action import Effect
from handfast.observe import printed
from handfast.observe.case import Case, Invocation
from handfast.observe.options import parse
from handfast.observe.words import DYNAMIC, Word


def sed(call: Invocation, case: Case) -> None:
    parsed = parse(
        _detach_in_place(call.args), "efl", frozenset({"--expression", "--file", "--line-length"})
    )
    scripts = parsed.all_values("-e") + parsed.all_values("--expression")
    files = parsed.operands
    if not scripts and not parsed.has("-f", "--file"):
        scripts, files = files[:1], files[1:]
    for value in parsed.all_values("-f") + parsed.all_values("--file"):
        scripts += [Word(body) for body in case.obeys(value, call.simple.cwds)]
    for script in scripts:
        _sed_script(script, call, case)
    if parsed.has("-i", "--in-place"):
        everything = any(_DELETES_ALL.fullmatch(script.text) for script in scripts)
        for word in files:
            if everything:
                case.empties(word)
            case.writes(word, call.simple.cwds, "edits")
    else:
        for word in files:
            case.reads(word, call.simple.cwds)


_DELETES_ALL = re.compile(r"\s*(1?,?\$?\s*d|s(.)\.\*\2\2g?)\s*")


def _detach_in_place(words: list[Word]) -> list[Word]:
    """`-i.bak`, `-ni`, `-i''`: what follows the letter i is a suffix, not more options."""
    found: list[Word] = []
    for word in words:
        match = re.match(r"-[nrEsuz]*i", word.text)
        found.append(Word(match.group(0)) if match else word)
    return found


def _sed_script(script: Word, call: Invocation, case: Case) -> None:
    for kind, argument in sed_effects(script.text):
        if kind == "run":
            case.findings.at_least(Effect.EXEC)
            case.findings.hazard(
                "exec.inline", f"sed runs commands from its script: `{argument[:60]}`"
            )
        elif kind == "write":
            case.writes(Word(argument), call.simple.cwds)
        elif kind == "read":
            case.reads(Word(argument), call.simple.cwds)
        else:
            case.findings.opaque(
                "sed-script", f"holds a sed script that cannot be read: `{script.shown[:60]}`"
            )


_ADDRESS = re.compile(r"\s*(?:\d+|\$|[^\x00-\x7f]+)?(?:[~+]\d+)?\s*[,!]?\s*")
_TO_LINE_END = re.compile(r"(?:[^\n\\]|\\.)*", re.DOTALL)


class _Unread(Exception):
    """The script leaves the grammar known here."""


def sed_effects(script: str) -> Iterator[tuple[str, str]]:
    """What a sed script does besides filtering: `run`, `write`, `read` with an argument, or `unread`."""
    try:
        yield from _commands(script)
    except (_Unread, IndexError):
        yield "unread", ""


_FILE_COMMANDS = {"r": "read", "R": "read", "w": "write", "W": "write", "e": "run"}
_PLAIN_COMMANDS = "dDgGhHnNpPxz=FqQlL"


def _commands(script: str) -> Iterator[tuple[str, str]]:
    at = _skip_addresses(script, 0)
    while at < len(script):
        letter = script[at]
        at += 1
        if letter in "sy":
            at, effect = _substitute(script, at, letter)
            if effect:
                yield effect
        elif letter in _FILE_COMMANDS:
            end = _until(script, at, "\n")
            yield _FILE_COMMANDS[letter], script[at:end].strip()
            at = end
        else:
            at = _plain_command(script, at, letter)
        at = _skip_addresses(script, at)


def _plain_command(script: str, at: int, letter: str) -> int:
    """The end of a command that only edits the stream."""
    if letter in "aic":
        match = _TO_LINE_END.match(script, at)
        return match.end() if match else len(script)
    if letter in ":btT":
        return _until(script, at, ";\n}")
    if letter == "#":
        return _until(script, at, "\n")
    if letter in _PLAIN_COMMANDS:
        return _until(script, at, ";\n}# ", digits=True)
    if letter in "{};\n \t":
        return at
    raise _Unread


def _skip_addresses(script: str, at: int) -> int:
    while at < len(script):
        start = at
        match = _ADDRESS.match(script, at)
        at = match.end() if match else at
        while at < len(script) and script[at] in ";\n\t {}":
            at += 1
        if at < len(script) and script[at] == "/":
            at = _field(script, at + 1, "/", brackets=True)
            at = _until_not(script, at, "IM")
        elif at < len(script) and script[at] == "\\":
            at = _field(script, at + 2, script[at + 1], brackets=True)
            at = _until_not(script, at, "IM")
        if at == start:
            return at
    return at


_BRACKETS = re.compile(r"\[\^?\]?(?:\[[:.=][^\]]*\]|[^\]\n])*\]")


def _field(script: str, at: int, delimiter: str, *, brackets: bool = False) -> int:
    """The position after the delimiter that ends a field. In a pattern, one inside `[…]` does not."""
    while script[at] != delimiter:
        match = _BRACKETS.match(script, at) if brackets and script[at] == "[" else None
        if match:
            at = match.end()
        else:
            at += 2 if script[at] == "\\" else 1
    return at + 1


def _until(script: str, at: int, ends: str, *, digits: bool = False) -> int:
    while at < len(script) and script[at] not in ends and (not digits or script[at].isdigit()):
        at += 1
    return at


def _until_not(script: str, at: int, letters: str) -> int:
    while at < len(script) and script[at] in letters:
        at += 1
    return at


def _substitute(script: str, at: int, letter: str) -> tuple[int, tuple[str, str] | None]:
    delimiter = script[at]
    at = _field(script, at + 1, delimiter, brackets=letter == "s")
    at = _field(script, at, delimiter)
    if letter == "y":
        return at, None
    while at < len(script) and script[at] in "gpiImM0123456789":
        at += 1
    if at < len(script) and script[at] == "e":
        return at + 1, ("run", script[:60])
    if at < len(script) and script[at] == "w":
        end = _until(script, at, "\n")
        return end, ("write", script[at + 1 : end].strip())
    return at, None


def awk(call: Invocation, case: Case) -> None:
    parsed = parse(
        call.args,
        "FvfileE",
        frozenset({"--file", "--exec", "--field-separator", "--assign", "--include"}),
    )
    programs = parsed.all_values("-e") + parsed.all_values("--source")
    files = parsed.operands
    given = parsed.all_values("-f", "--file", "-E", "--exec")
    if not (given or programs):
        programs, files = files[:1], files[1:]
    for value in given:
        programs += [Word(body) for body in case.obeys(value, call.simple.cwds)]
    for program in programs:
        if program.raw == DYNAMIC:
            case.findings.opaque("dynamic-code", f"runs a program known only then: `{call.shown}`")
        _awk_program(program.text, call, case)
    in_place = any("inplace" in value.text for value in parsed.all_values("-i"))
    for word in files:
        if in_place:
            case.writes(word, call.simple.cwds, "edits")
        else:
            case.reads(word, call.simple.cwds)


_AWK_RUNS = re.compile(
    r"\bsystem\s*\(|\|\s*&?\s*getline|\bprintf?\b[^;}\n]*\|\s*&?\s*[\"\w]|@load|@\w+\s*\("
)
_AWK_WRITES = re.compile(r"\bprintf?\b([^;}\n>]*)>>?\s*(\"[^\"]*\"|[^\s;}]+)")
_AWK_STRINGS = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"")


def _awk_program(program: str, call: Invocation, case: Case) -> None:
    """Strings are blanked for the search: `print "a > b"` writes nothing."""
    bare = _AWK_STRINGS.sub(lambda m: '"' + "_" * (len(m.group(0)) - 2) + '"', program)
    if _AWK_RUNS.search(bare):
        case.findings.at_least(Effect.EXEC)
        case.findings.hazard("exec.inline", f"awk runs commands from its program: `{program[:60]}`")
    for match in _AWK_WRITES.finditer(bare):
        if match.group(1).count("(") > match.group(1).count(")"):
            continue
        target = program[match.start(2) : match.end(2)]
        if target.startswith('"'):
            case.writes(Word(target.strip('"')), call.simple.cwds)
        else:
            case.findings.opaque(
                "dynamic-path", f"awk writes a file that is only known when it runs: {target[:40]}"
            )


def sort(call: Invocation, case: Case) -> None:
    parsed = parse(
        call.args, "okStT", frozenset({"--output", "--compress-program", "--files0-from"})
    )
    for value in parsed.all_values("-o") + parsed.all_values("--output"):
        case.writes(value, call.simple.cwds)
    if parsed.value("--compress-program"):
        case.findings.opaque("other-program", f"lets sort run another program: `{call.shown}`")


def second_operand(call: Invocation, case: Case) -> None:
    """uniq, xxd: a second operand is the output file."""
    for word in parse(call.args, "fswclosgR").operands[1:]:
        case.writes(word, call.simple.cwds)


def output_option(call: Invocation, case: Case) -> None:
    for value in parse(call.args, "oLIPTH", frozenset({"--output"})).all_values("-o"):
        case.writes(value, call.simple.cwds)


def ripgrep(call: Invocation, case: Case) -> None:
    if any(word.text.startswith(("--pre", "--hostname-bin", "--pager")) for word in call.args):
        case.findings.at_least(Effect.EXEC)
        case.findings.opaque(
            "other-program", f"lets the search run another program: `{call.shown}`"
        )


def fd(call: Invocation, case: Case) -> None:
    for index, word in enumerate(call.args):
        if word.text in {"-x", "-X", "--exec", "--exec-batch"}:
            case.argv([*call.args[index + 1 :], Word("./\ufdd9")], call.simple)


def yq(call: Invocation, case: Case) -> None:
    printed.secrets(call, case)
    parsed = parse(call.args, "pIo")
    if parsed.has("-i", "--inplace"):
        for word in parsed.operands[1:]:
            case.writes(word, call.simple.cwds, "edits")


HANDLERS = {
    **dict.fromkeys(("sed", "gsed"), sed),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), awk),
    "sort": sort,
    "uniq": second_operand,
    "xxd": second_operand,
    "tree": output_option,
    **dict.fromkeys(("rg", "ag", "ack"), ripgrep),
    **dict.fromkeys(("fd", "fdfind"), fd),
    "yq": yq,
}
