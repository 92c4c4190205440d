"""What a SQL client itself reads in a script, beside SQL: psql's `\\copy`, sqlite's `.shell`, `GO`, `DELIMITER`.

Client commands are judged here and blanked, so that the rest can be read as SQL.
"""

import re

from handfast.observe.options import names
from handfast.observe.sql_seen import PROGRAM, WRITE, Seen

DIALECTS = (
    "postgres",
    "mysql",
    "sqlite",
    "tsql",
    "oracle",
    "snowflake",
    "bigquery",
    "duckdb",
    "clickhouse",
)
# Quoted texts and comments. The client does not look for commands inside them.
_QUOTED = (
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|--[^\n]*|/\*.*?\*/"
)
_ESCAPED = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`[^`]*`|--[^\n]*|#[^\n]*|/\*.*?\*/"
_PLAIN = re.compile(_QUOTED, re.DOTALL)
_BACKSLASHED = re.compile(_ESCAPED, re.DOTALL)
_WITH_BACKSLASHES = frozenset({"mysql", "bigquery", "snowflake", "clickhouse"})

_VERSIONED = re.compile(r"/\*M?!")
_BACKSLASH = re.compile(r"\\([^\s\\;]+)([^\n\\]*)")
_DOT = re.compile(r"^[ \t]*\.([A-Za-z]\w*)([^\n]*)", re.MULTILINE)
_LINE = re.compile(
    r"^[ \t]*(?:(!!?\s*\w)|:(?:r|!!|setvar|out|error|on|connect|ed|xml|serverlist)\b|(delimiter)\s)[^\n]*",
    re.MULTILINE | re.IGNORECASE,
)
_BATCH = re.compile(r"^[ \t]*GO(?:[ \t]+\d+)?[ \t]*;?[ \t]*$", re.MULTILINE | re.IGNORECASE)
_PSQL_VARIABLE = re.compile(r"(?<![:\w\[]):(?:['\"{]?)[A-Za-z_]\w*")

_PSQL_HARMLESS = names(
    "a c C connect conninfo copyright echo encoding errverbose f g gdesc gx h H help l list p pset q quit r reset s t T"
    " timing warn x z sf sv ? if elif else endif l+ sf+ sv+ du du+ G dt d . ;"
)
_TAKES_SHELL = names("echo qecho warn set if elif c connect pset prompt")
_SQLITE_HARMLESS = names(
    "tables schema mode headers header dump databases dbinfo indexes indices help quit exit show stats timer width"
    " separator nullvalue explain eqp print echo bail fullschema changes version lint expert timeout columns maxrows"
    " binary sha3sum"
)


def client_commands(text: str, dialect: str, seen: Seen) -> str:
    """The text without what the client reads itself. `dialect` is empty where it is not known."""
    if _VERSIONED.search(text):
        seen.unread("version-comment", "runs a comment that some servers execute")
    bare = _bare(text, escaped=dialect in _WITH_BACKSLASHES)
    bares = {bare} if dialect in {"sqlite", "duckdb", "tsql", "oracle"} else {
        bare,
        _bare(text, escaped=dialect not in _WITH_BACKSLASHES),
    }  # fmt: skip
    for each in bares:
        _backslashes(each, seen)
        for match in _BACKSLASH.finditer(each):
            line = text[match.start() :].partition("\n")[0]
            if match[1] in _TAKES_SHELL and "`" in line:
                seen.hazard(PROGRAM, f"lets the client run a command: {line[:60]}")
        for match in _LINE.finditer(each):
            seen.unread("client-command", f"runs a command of the client: {match[0].strip()[:60]}")
    if dialect == "psql" and _PSQL_VARIABLE.search(bare):
        seen.unread("dynamic-sql", "runs SQL that holds variables of the client")
    return _blanked(text, bare, dialect, seen)


def _blanked(text: str, bare: str, dialect: str, seen: Seen) -> str:
    spans = [match.span() for match in _BACKSLASH.finditer(bare)]
    spans += [match.span() for match in _LINE.finditer(bare)]
    if dialect in {"", "tsql"}:
        spans += [match.span() for match in _BATCH.finditer(bare)]
    if dialect in {"", "sqlite", "duckdb"}:
        for match in _DOT.finditer(bare):
            _dot(match[1].lower(), match[0], seen)
            spans.append(match.span())
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + ";" + " " * (end - start - 1) + text[end:]
    return text


def _bare(text: str, *, escaped: bool) -> str:
    """As long as `text`, with quoted texts and comments blank."""
    return (_BACKSLASHED if escaped else _PLAIN).sub(
        lambda match: re.sub(r"[^\n]", " ", match[0]), text
    )


def _backslashes(bare: str, seen: Seen) -> None:
    for match in _BACKSLASH.finditer(bare):
        name, rest = match[1], match[2].strip()
        shown = f"\\{name} {rest}".strip()[:60]
        if name.lower() == "copy":
            _copy(rest, shown, seen)
        elif name == "." and rest.strip(" ;"):
            seen.unread("client-command", f"runs a file: {shown}")
        elif name.startswith("!") or (name in {"g", "gx"} and rest.strip(" ;")) or name == "T":
            seen.hazard(PROGRAM, f"lets the client run or write: {shown}")
        elif name == "set":
            if not re.fullmatch(r"[A-Z_]+\s+'?\w*'?", rest):
                seen.unread("client-command", f"sets a variable that later SQL may hold: {shown}")
        elif name not in _PSQL_HARMLESS and not re.fullmatch(r"d[a-zA-Z]*[S+]*", name):
            seen.unread("client-command", f"runs a command of the client: {shown}")


def _copy(rest: str, shown: str, seen: Seen) -> None:
    if re.search(r"\bfrom\s+p?stdin\b", rest, re.IGNORECASE):
        seen.hazard(WRITE, f"adds rows: {shown}")
    elif not re.fullmatch(r"[\w.\"]+(\s*\([^()]*\))?\s+to\s+p?stdout\b.*", rest, re.IGNORECASE):
        seen.hazard(PROGRAM, f"moves data between the database and a file or program: {shown}")


def _dot(name: str, whole: str, seen: Seen) -> None:
    if any(known.startswith(name) for known in _SQLITE_HARMLESS if len(name) > 2):
        return
    seen.hazard(PROGRAM, f"runs a command of the client: {whole.strip()[:60]}")
