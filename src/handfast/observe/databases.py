"""Database clients: the SQL they are given is searched for statements that destroy."""

import re
from pathlib import Path

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.options import Parsed, parse
from handfast.observe.outputs import known_output
from handfast.observe.words import Word

# Short options with a value; options whose value is SQL; whether SQL may stand as second operand.
_CLIENTS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "psql": ("cdfhopPUvFRTL", ("-c", "--command"), False),
    "mysql": ("ehuDPS", ("-e", "--execute"), False),
    "mariadb": ("ehuDPS", ("-e", "--execute"), False),
    "sqlite3": ("", ("-cmd", "--cmd"), True),
    "duckdb": ("cs", ("-c", "-s"), True),
    "sqlcmd": ("QqSdUPi", ("-Q", "-q"), False),
    "clickhouse-client": ("qhud", ("-q", "--query"), False),
    "cockroach": ("e", ("-e", "--execute"), False),
    "mongosh": ("", ("--eval",), False),
    "mongo": ("", ("--eval",), False),
    "cqlsh": ("e", ("-e", "--execute"), False),
    "snowsql": ("q", ("-q", "--query"), False),
    "usql": ("c", ("-c", "--command"), False),
    "pgcli": ("", (), False),
}
_DESTRUCTIVE = re.compile(
    r"\b(DROP|TRUNCATE|DELETE|ALTER|UPDATE|REPLACE|GRANT|REVOKE|VACUUM\s+FULL|REINDEX|DO\s+\$|CALL|COPY\b.{0,200}?\bPROGRAM"
    r"|dropDatabase|drop\s*\(|deleteMany|deleteOne|remove\s*\(|updateMany|pg_terminate_backend|lo_import|load_extension"
    r"|EXECUTE|ATTACH|\\!|\.shell|\.system|\.import|\.restore|writefile)\b|\\!|\.(shell|system|restore|import)\b|drop\s*\(",
    re.IGNORECASE | re.DOTALL,
)
_MAX_FILE = 256 * 1024


def run(call: Invocation, case: Case) -> None:
    found = case.findings
    found.at_least(Effect.NETWORK)
    found.headline(f"asks a database: `{call.shown}`")
    short, options, positional = _CLIENTS[call.name]
    parsed = parse(
        call.args,
        short,
        frozenset(o for o in options if o.startswith("--")) | {"--file", "--dbname"},
    )
    texts = [value for option in options for value in parsed.all_values(option)]
    if positional:
        texts += parsed.operands[1:]
    _files(parsed, call, case)
    _input(call, case)
    for word in texts:
        if word.dynamic:
            found.opaque("dynamic-sql", "runs SQL that is only known when it runs")
        _search(word.text, call, case)


def _search(text: str, call: Invocation, case: Case) -> None:
    """Quoted texts are left out, unless a backslash makes their end uncertain."""
    bare = text if "\\" in text else re.sub(r"'[^']*'", "''", text)
    match = _DESTRUCTIVE.search(bare)
    if match:
        case.findings.hazard(
            "sql.destructive",
            f"{call.name} runs {match.group(0).split()[0].upper()}: {' '.join(text.split())[:120]}",
        )


def _files(parsed: Parsed, call: Invocation, case: Case) -> None:
    names = parsed.all_values("-f") + parsed.all_values("--file") + parsed.all_values("-i")
    names += [redirect.target for redirect in call.simple.redirects if redirect.operator == "<"]
    for word in names:
        for path in case.places.expand(word, call.simple.cwds) or [""]:
            _sql_file(path, call, case)


def _sql_file(path: str, call: Invocation, case: Case) -> None:
    real = case.places.real(path) if path else ""
    try:
        with Path(real).open("rb") as file:
            body = file.read(_MAX_FILE).decode("utf-8", "replace")
    except OSError:
        if path:
            case.depends_on_file(path)
        case.findings.opaque("sql-from-file", f"{call.name} runs a file that cannot be read yet")
        return
    case.depends_on_file(path)
    _search(body, call, case)


def _input(call: Invocation, case: Case) -> None:
    if call.simple.stdin is not None:
        _search(call.simple.stdin.text, call, case)
    if call.simple.feeder is not None:
        feeder = call.simple.feeder
        printed = known_output([feeder], "") if feeder.feeder is None else None
        if printed is not None:
            _search(printed, call, case)
        elif feeder.argv and feeder.argv[0].text == "cat":
            for word in feeder.argv[1:]:
                for path in case.places.expand(Word(word.raw), call.simple.cwds) or [""]:
                    _sql_file(path, call, case)
        else:
            case.findings.opaque("sql-from-pipe", f"{call.name} runs what another command prints")


HANDLERS = dict.fromkeys(_CLIENTS, run)
