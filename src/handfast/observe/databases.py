"""Database clients: the SQL they are given, in options, files, here-documents and pipes, is read for what it does."""

import re
from dataclasses import dataclass
from pathlib import Path

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.commands import Redirect, Simple
from handfast.observe.options import Parsed, names, parse
from handfast.observe.outputs import known_output
from handfast.observe.sql import MAX_CHARACTERS, judge_sql
from handfast.observe.words import Word


@dataclass(frozen=True, slots=True)
class _Client:
    """`short`: letters of options with a value. `sql`, `files`: options whose value is SQL or a file of it.

    `positional`: operands behind the first are SQL. `single`: long options may have one dash.
    """

    dialect: str
    short: str
    sql: tuple[str, ...] = ()
    positional: bool = False
    single: bool = False
    files: tuple[str, ...] = ("-f", "--file", "-i")


_MYSQL = _Client("mysql", "ehuDPS", ("-e", "--execute", "--init-command"))
_EXECUTE = _Client("", "ef", ("-e", "--execute"))
_MONGO = _Client("mongo", "", ("--eval",))
_SINGLE_FILES = ("-f", "--file", "--init")
_CLIENTS: dict[str, _Client] = {
    "psql": _Client("psql", "cdfhopPUvFRTL", ("-c", "--command")),
    "pgcli": _Client("psql", "hpUud", ("-c", "--command")),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "mycli": _MYSQL,
    "sqlite3": _Client("sqlite", "", ("--cmd",), positional=True, single=True, files=_SINGLE_FILES),
    "duckdb": _Client(
        "duckdb", "csf", ("-c", "-s", "--cmd"), positional=True, single=True, files=_SINGLE_FILES
    ),
    "litecli": _Client("sqlite", "e", ("-e", "--execute")),
    "sqlcmd": _Client("tsql", "QqSdUPiov", ("-Q", "-q", "--query", "--initial-query")),
    "clickhouse-client": _Client(
        "clickhouse", "qhudn", ("-q", "--query", "-n", "--multiquery"), files=("--queries-file",)
    ),
    "clickhouse": _Client(
        "clickhouse", "qhudn", ("-q", "--query", "-n", "--multiquery"), files=("--queries-file",)
    ),
    "clickhouse-local": _Client(
        "clickhouse", "qhudn", ("-q", "--query", "-n", "--multiquery"), files=("--queries-file",)
    ),
    "cockroach": _Client("postgres", "e", ("-e", "--execute")),
    "cqlsh": _Client("", "efukp", ("-e", "--execute")),
    "snowsql": _Client("snowflake", "qf", ("-q", "--query"), files=("-f", "--filename")),
    "usql": _Client("", "cf", ("-c", "--command")),
    "bq": _Client("bigquery", "", (), positional=True, files=("--flagfile",)),
    "trino": _EXECUTE,
    "presto": _EXECUTE,
    "hive": _EXECUTE,
    "beeline": _Client("", "efun", ("-e", "--execute")),
    "spark-sql": _EXECUTE,
    "impala-shell": _Client("", "qfi", ("-q", "--query")),
    "sqlplus": _Client("oracle", "", (), files=()),
    "mongosh": _MONGO,
    "mongo": _MONGO,
}
_WITH_VALUE = names(
    "--file --dbname --init --cmd --separator --newline --nullvalue --lookaside --mmap --heap --vfs --maxsize --output"
    " --log-file --filename --flagfile --queries-file"
)
_MONGO_CHANGES = re.compile(
    r"dropDatabase|\.drop\w*\s*\(|delete(Many|One)|remove\s*\(|update(Many|One)?\s*\(|replaceOne|findAndModify"
    r"|findOneAnd\w+|bulkWrite|renameCollection|(create|drop|update)(User|Role)|grant\w*Role|shutdownServer"
    r"|runCommand|adminCommand|eval\s*\(|load\s*\(|\brs\.|\bsh\.|\$out|\$merge|insert\w*\s*\(\s*\$",
)
_MAX_FILE = MAX_CHARACTERS * 4
_ADMIN = names(
    "drop shutdown kill password flush-privileges flush-hosts reload stop-slave stop-replica"
)


def _inputs(simple: Simple) -> list[Redirect]:
    """What is read from files; nothing comes from `/dev/null`."""
    given = [each for each in simple.redirects if each.operator == "<"]
    return [each for each in given if each.target.text != "/dev/null"]


def run(call: Invocation, case: Case) -> None:
    found, client = case.findings, _CLIENTS[call.name]
    found.at_least(Effect.NETWORK)
    found.headline(f"asks a database: `{call.shown}`")
    words = [_doubled(word) for word in call.args] if client.single else call.args
    long = {option for option in client.sql if option.startswith("--")}
    parsed = parse(words, client.short, frozenset(long) | _WITH_VALUE)
    if call.name == "bq" and not _is_query(parsed, case):
        return
    texts = [value for option in client.sql for value in parsed.all_values(option)]
    if client.positional:
        texts += parsed.operands[1:]
        texts += [word for word in parsed.operands[:1] if re.search(r"\s|;", word.text)]
    _files(parsed, client, call, case)
    _outputs(parsed, call, case)
    _input(call, case)
    for word in texts:
        _judge(word.text, call, case)


def _doubled(word: Word) -> Word:
    return Word("-" + word.raw, word.sources) if re.match(r"-[a-z]{3,}", word.raw) else word


def _is_query(parsed: Parsed, case: Case) -> bool:
    """`bq query`; what its options do to a table counts as well."""
    if not parsed.operands or parsed.operands[0].text != "query":
        return False
    if parsed.has("", "--replace"):
        case.findings.hazard("sql.destructive", "bq replaces the table it writes to")
    return True


def _judge(text: str, call: Invocation, case: Case) -> None:
    dialect = _CLIENTS[call.name].dialect
    if dialect == "mongo":
        match = _MONGO_CHANGES.search(text)
        if match:
            case.findings.hazard(
                "sql.destructive", f"{call.name} runs {match[0]}: {' '.join(text.split())[:120]}"
            )
        if not Word(text).fixed:
            case.findings.opaque("dynamic-sql", "runs a query that is only known when it runs")
        return
    judge_sql(text, dialect, case.findings, call.name)


def _files(parsed: Parsed, client: _Client, call: Invocation, case: Case) -> None:
    named = [value for option in client.files for value in parsed.all_values(option)]
    if call.name == "sqlplus":
        named += [word.cut(1) for word in parsed.operands if word.raw.startswith("@")]
    if _CLIENTS[call.name].dialect == "mongo":
        named += [word for word in parsed.operands if word.text.endswith(".js")]
    named += [redirect.target for redirect in _inputs(call.simple)]
    for word in named:
        _named_file(word, call, case)


def _named_file(word: Word, call: Invocation, case: Case) -> None:
    if word.text in {"-", "/dev/stdin"}:
        return
    for path in case.places.expand(word, call.simple.cwds) or [""]:
        _sql_file(path, call, case)


def _sql_file(path: str, call: Invocation, case: Case) -> None:
    """A file that is run is read and hashed. One that this very command writes is known by its text or not at all."""
    real = case.places.real(path) if path else ""
    if real in case.written:
        body = case.written[real]
        if body is None:
            case.findings.opaque(
                "written-then-run", f"{call.name} runs a file the same command writes"
            )
        else:
            _judge(body, call, case)
        return
    try:
        if not case.on_disk:
            raise FileNotFoundError(real)
        with Path(real).open("rb") as file:
            read = file.read(_MAX_FILE + 1).decode("utf-8", "replace")
    except OSError:
        if path:
            case.depends_on_file(path)
        case.findings.opaque("sql-from-file", f"{call.name} runs a file that cannot be read yet")
        return
    case.depends_on_file(path)
    _judge(read, call, case)


def _outputs(parsed: Parsed, call: Invocation, case: Case) -> None:
    if call.name not in {"psql", "sqlcmd"}:
        return
    for word in parsed.all_values("-o", "--output", "-L", "--log-file"):
        if word.text.startswith("|"):
            case.findings.hazard("sql.program", f"psql feeds a program: {word.shown}")
        else:
            case.writes(word, call.simple.cwds)


def _input(call: Invocation, case: Case) -> None:
    if call.simple.stdin is not None:
        _judge(call.simple.stdin.text, call, case)
    if call.simple.feeder is not None:
        _fed(call.simple.feeder, call, case)


def _fed(feeder: Simple, call: Invocation, case: Case) -> None:
    """What another command pipes in, where that is certain: fixed text, or `cat` of files or of its input."""
    printed = known_output([feeder], "") if feeder.feeder is None else None
    if printed is not None:
        _judge(printed, call, case)
        return
    inputs = [each.target for each in _inputs(feeder)]
    files = feeder.argv[1:] or inputs
    if not feeder.argv or feeder.argv[0].text != "cat" or feeder.feeder is not None:
        files = []
    elif feeder.stdin is not None and not files:
        _judge(feeder.stdin.text, call, case)
        return
    if not files or any(word.is_option or word.text == "-" for word in files):
        case.findings.opaque("sql-from-pipe", f"{call.name} runs what another command prints")
        return
    for word in files:
        _named_file(word, call, case)


def admin(call: Invocation, case: Case) -> None:
    """`mysqladmin`: everything but looking and `create` changes the server."""
    case.findings.at_least(Effect.NETWORK)
    case.findings.headline(f"asks a database: `{call.shown}`")
    for word in call.args:
        if word.text in _ADMIN:
            case.findings.hazard("sql.destructive", f"{call.name} runs {word.text}")


HANDLERS = {**dict.fromkeys(_CLIENTS, run), "mysqladmin": admin, "mariadb-admin": admin}
