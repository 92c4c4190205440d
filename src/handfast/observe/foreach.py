"""find and xargs: a command for each of many, known by where they lie."""

import re
from dataclasses import replace

from handfast.observe.case import Case, Invocation
from handfast.observe.options import names
from handfast.observe.outputs import files_listed, find_matches, find_roots
from handfast.observe.words import DYNAMIC, Word
from handfast.observe.wrappers import behind


def xargs(call: Invocation, case: Case) -> None:
    known = "-I -n -P -L -d -E -s -a --max-args --max-procs --delimiter --arg-file --max-lines"
    feeder = call.simple.feeder
    listed = files_listed(feeder) if feeder else None
    values = [Word(raw) for raw in listed or [DYNAMIC]]
    replaced = _placeholder(call.args)
    words = _without_flags(call.args)
    for reading in behind(words, known, 0):
        if not reading:
            continue
        if replaced and replaced in reading[0].text:
            case.findings.opaque("dynamic-command", f"runs what it reads: `{call.shown}`")
            continue
        inner = [put(word, replaced, values) for word in reading] if replaced else [reading, values]
        case.argv(
            [word for group in inner for word in group],
            replace(call.simple, feeder=None, fed=False, redirects=[]),
        )


_XARGS_FLAG = re.compile(
    r"-[0rtpxo]+\Z|-[0rtpxo]*[ile]\S*\Z|-[0rtpxo]*[nPLIdsEa]\S+\Z|--[a-z-]+=|--(null|no-run-if-empty|verbose"
    r"|interactive|exit|open-tty|replace|eof)\Z"
)


def _without_flags(words: list[Word]) -> list[Word]:
    """The words from the first option on that may take the next word."""
    index = 0
    while index < len(words) and _XARGS_FLAG.match(words[index].text):
        index += 1
    return words[index:]


def _placeholder(words: list[Word]) -> str:
    """What `-I` or `-i` says stands for each input line; empty when lines are appended."""
    index = 0
    while index < len(words) and words[index].is_option:
        text, following = words[index].text, words[index + 1 : index + 2]
        if match := _REPLACES.match(text):
            if match.group(1) or not match.group().endswith("I"):
                return match.group(1) or "{}"
            return following[0].text if following else ""
        index += 2 if _TAKES_NEXT.match(text) else 1
    return ""


_REPLACES = re.compile(r"(?:-[0rtpxo]*[Ii]|--replace=?)(.*)\Z")
_TAKES_NEXT = re.compile(r"(-[0rtpxo]*[nPLdEsa]|--(max-\w+|delimiter|arg-file))\Z")


def put(word: Word, placeholder: str, values: list[Word]) -> list[Word]:
    """`word` with the placeholder replaced by each value."""
    if placeholder not in word.text:
        return [word]
    return [Word(word.raw.replace(placeholder, value.raw), word.sources) for value in values]


_EXECS = names("-exec -execdir -ok -okdir")


def find(call: Invocation, case: Case) -> None:
    texts = call.texts
    for index, flag in enumerate(texts):
        # Only the tests before an action narrow it: `find . -delete -name x` deletes everything.
        matches = [Word(raw) for raw in find_matches(call.args[:index])]
        if flag == "-delete":
            case.deletes(matches, call.simple.cwds, recursive=True)
        elif flag in _EXECS:
            rest = call.args[index + 1 :]
            end = next((i for i, word in enumerate(rest) if word.text in {";", "+"}), len(rest))
            inner = [each for word in rest[:end] for each in put(word, "{}", matches)]
            case.argv(inner, replace(call.simple, stdin=None, feeder=None, fed=False, redirects=[]))
        elif flag.startswith(("-fprint", "-fls")) and index + 1 < len(texts):
            case.writes(call.args[index + 1], call.simple.cwds)
    roots = min(len(find_roots(call.args)), 1)
    words = _own_words(call.args)
    pairs = zip([Word(""), *words], words, strict=False)
    rest = [word for before, word in pairs if not _is_value(before, word)]
    if any(word.raw.startswith(DYNAMIC) for word in rest[roots:]):
        case.findings.opaque(
            "dynamic-option", "gives `find` options that are only known when it runs"
        )


_VALUED = re.compile(
    r"-(i?name|i?path|i?wholename|i?regex|[acm](time|min)|newer\w*|[acm]newer|size|inum|user|group|[ug]id|perm|type|xtype"
    r"|maxdepth|mindepth|links|samefile|fstype|regextype|printf|used)\Z"
)


def _own_words(words: list[Word]) -> list[Word]:
    """What belongs to `find` itself, not to the commands behind `-exec`."""
    found: list[Word] = []
    inside = False
    for word in words:
        if not inside:
            found.append(word)
        inside = (inside or word.text in _EXECS) and word.text not in {";", "+"}
    return found


def _is_value(before: Word, word: Word) -> bool:
    """Whether the word is what a test of `find` compares with, from the environment: one word as a rule."""
    given = all(source.startswith("$") for source in word.sources)
    return given and bool(_VALUED.match(before.text))


HANDLERS = {
    "xargs": xargs,
    "gxargs": xargs,
    "find": find,
    "gfind": find,
}
