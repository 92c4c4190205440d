"""Words of a shell command after quoting, braces and known variables are resolved.

Parts that cannot be known before the command runs, and characters the shell would treat specially, are
kept as marks: Unicode noncharacters, which no text may hold. A word is therefore one string.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

DYNAMIC = "\ufdd0"  # any text
STAR, QUERY, BRACKET = "\ufdd1", "\ufdd2", "\ufdd3"  # unquoted * ? [
OPEN, COMMA, CLOSE = "\ufdd4", "\ufdd5", "\ufdd6"  # unquoted { , }
TILDE = "\ufdd7"  # unquoted ~ at the start of a word
SPLIT = "\ufdd8"  # a place where the shell splits one word into two
BENEATH = "\ufdd9"  # some path below the folder before it; never climbs out of it
MARKS = re.compile("[\ufdd0-\ufdef]")

_PLAIN = {STAR: "*", QUERY: "?", BRACKET: "[", OPEN: "{", COMMA: ",", CLOSE: "}", TILDE: "~"}
_TO_PLAIN = str.maketrans(_PLAIN)
_GLOB = re.compile(f"[{STAR}{QUERY}{BRACKET}]")
_UNQUOTED = str.maketrans({"*": STAR, "?": QUERY, "[": BRACKET})
_BRACES = str.maketrans({"{": OPEN, ",": COMMA, "}": CLOSE})
_ESCAPED = re.compile(r"\\(\n|.)", re.DOTALL)
_ORDINARY = re.compile(r"[\w./=:+%@^-]*")
_IN_QUOTES = re.compile(r'\\([$`"\\\n])')
MAX_ALTERNATIVES = 32
# Beyond these, brace expansion would cost more than an answer is worth.
_MAX_BRACES, _MAX_COMMAS = 5, 16


@dataclass(frozen=True, slots=True)
class Word:
    """One argument. `sources` names what its text came from: variables (`$NAME`), commands (`NAME`), and
    variables the same text set to something unknown (`=NAME`).
    """

    raw: str
    sources: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The word as typed; unknown parts stay as marks."""
        return self.raw if self.raw.isascii() else self.raw.translate(_TO_PLAIN)

    @property
    def dynamic(self) -> bool:
        """Whether any part is unknown before the command runs."""
        return DYNAMIC in self.raw

    @property
    def fixed(self) -> bool:
        """Whether the shell will pass exactly `text`."""
        return self.raw.isascii() or (
            not self.dynamic and BENEATH not in self.raw and not _GLOB.search(self.raw)
        )

    @property
    def is_option(self) -> bool:
        return self.raw.startswith("-") and len(self.raw) > 1

    @property
    def may_be_option(self) -> bool:
        """Whether what is unknown in it may make it an option: `$FLAGS`, `--ha$x`, but not `--to=$x`."""
        name = self.raw.partition("=")[0]
        return DYNAMIC in name and name.startswith(("-", DYNAMIC))

    @property
    def shown(self) -> str:
        """For sentences: unknown parts as an ellipsis, or by their name where there is one."""
        if self.raw.isascii():
            return self.raw
        origins = [source for source in self.sources if not source.startswith("=")]
        named = len(origins) == self.raw.count(DYNAMIC) == 1 and origins[0].startswith("$")
        unknown = origins[0] if named else "…"
        return self.text.replace(DYNAMIC, unknown).replace(BENEATH, "…")

    def cut(self, start: int) -> "Word":
        """The word without its first `start` characters."""
        return Word(self.raw[start:], self.sources)


def literal(text: str) -> Word:
    return Word(text)


def mark_unquoted(text: str) -> str:
    """Unquoted source text: backslashes removed, special characters marked."""
    if _ORDINARY.fullmatch(text):
        return text
    parts: list[str] = []
    position = 0
    for match in _ESCAPED.finditer(text):
        parts.append(_specials(text[position : match.start()]))
        parts.append("" if match.group(1) == "\n" else match.group(1))
        position = match.end()
    parts.append(_specials(text[position:]))
    marked = "".join(parts)
    return TILDE + marked[1:] if text.startswith("~") else marked


def _specials(text: str) -> str:
    return text.translate(_UNQUOTED).translate(_BRACES)


def unescape_quoted(text: str) -> str:
    """Text between double quotes."""
    return _IN_QUOTES.sub(lambda m: "" if m.group(1) == "\n" else m.group(1), text)


def of_value(value: str) -> str:
    """A variable's value where it stands unquoted: split at white space, globs active."""
    return re.sub(r"[ \t\n]+", SPLIT, value.translate(_UNQUOTED))


def shorten(value: str, how: str) -> str:
    """What `${name%.ext}`, `${name%.*}` or `${name##*/}` leaves of a value; unknown where that depends on files."""
    if how == "##*/":
        return value.rpartition("/")[2]
    ending = how[1:]
    if ending == ".*":
        head, dot, tail = value.rpartition(".")
        return DYNAMIC if MARKS.search(tail) else (head if dot else value)
    if value.endswith(ending):
        return value[: -len(ending)]
    return DYNAMIC if MARKS.search(value) else value


_ANSI = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|c(.)|(.))",
    re.DOTALL,
)
_ANSI_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def ansi_c(text: str) -> str:
    """The text of `$'…'`: bash manual, ANSI-C Quoting."""

    def one(match: re.Match[str]) -> str:
        hexadecimal, short, long, octal, control, other = match.groups()
        code = hexadecimal or short or long
        if code:
            point = int(code, 16)
            return chr(point) if point < 0x110000 else DYNAMIC
        if octal:
            return chr(int(octal, 8) & 0xFF)
        if control:
            return chr(ord(control) & 0x1F)
        return "\x1b" if other in "eE" else _ANSI_SIMPLE.get(other, other)

    return _ANSI.sub(one, text)


def combine(left: list[str], right: list[str]) -> list[str]:
    """Every left followed by every right; one unknown text when there would be too many."""
    if len(left) * len(right) > MAX_ALTERNATIVES:
        return [DYNAMIC]
    return [a + b for a in left for b in right]


def expand_braces(raw: str) -> list[str]:
    """`a{b,c}` as `ab`, `ac`. A brace without a comma stays as typed; a range is not worked out."""
    if raw.count(OPEN) > _MAX_BRACES or (raw.count(OPEN) > 1 and raw.count(COMMA) > _MAX_COMMAS):
        return [DYNAMIC]
    close = raw.find(CLOSE)
    while close >= 0:
        start = raw.rfind(OPEN, 0, close)
        inner = raw[start + 1 : close]
        if start >= 0 and COMMA in inner:
            return _choices(raw[:start], inner, raw[close + 1 :])
        raw = raw[:close] + "}" + raw[close + 1 :]
        if start >= 0:
            raw = raw[:start] + (DYNAMIC if ".." in inner else "{") + raw[start + 1 :]
        close = raw.find(CLOSE)
    return [raw]


def _choices(before: str, inner: str, after: str) -> list[str]:
    found: list[str] = []
    for choice in inner.split(COMMA):
        found += expand_braces(before + choice + after)
        if len(found) > MAX_ALTERNATIVES:
            return [DYNAMIC]
    return found


def finish(alternatives: Iterable[str], sources: tuple[str, ...]) -> list[Word]:
    """Words from marked texts: braces expanded, split, in order, without repeats of the same word."""
    words: dict[str, Word] = {}
    for raw in alternatives:
        if raw.isascii():
            words.setdefault(raw, Word(raw, sources))
            continue
        for expanded in expand_braces(raw):
            pieces = expanded.split(SPLIT) if SPLIT in expanded else [expanded]
            for piece in pieces:
                if piece or len(pieces) == 1:
                    words.setdefault(piece, Word(piece, sources))
    return list(words.values())


def glob_pattern(raw: str) -> str:
    """`raw` for `glob` and `fnmatch`: typed special characters escaped, active ones kept."""
    escaped = re.sub(r"[*?\[]", lambda m: f"[{m.group(0)}]", raw)
    return escaped.translate(_TO_PLAIN)
