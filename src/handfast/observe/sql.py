"""Facts from SQL: what a text would delete, change, grant or run, in the dialect of its client.

A DELETE or UPDATE whose condition picks rows out, an INSERT and a plain CREATE are `sql.write`: recorded
and allowed. What deletes or changes more is gated, and so is what cannot be read: see `sql_where` for what
counts as picking rows out. Where the dialect is not known the text is read in several, and what any of
them sees counts.

`sqlglot` is imported when the first SQL is read: it costs more than the rest of the reader together.
"""

import re

from handfast.core.domain.action import Effect, Facts
from handfast.observe.findings import Findings
from handfast.observe.sql_seen import Seen
from handfast.observe.words import DYNAMIC, MARKS

MAX_CHARACTERS = 64 * 1024
MAX_NESTING = 100
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# Where sqlglot's word for a dialect is another, or the dialect is a near relative of one.
_SAME = {
    "postgresql": "postgres",
    "mariadb": "mysql",
    "mssql": "tsql",
    "cockroach": "postgres",
    "sqlite3": "sqlite",
}
_HASHES = re.compile(
    r"\b(?:pg_shadow|pg_authid|pg_user_mappings?|sql_logins|dba_users|authentication_string|rolpassword|user_privs\$)\b"
    r"|\*\s+from\s+`?mysql`?\s*\.\s*`?user\b",
    re.IGNORECASE,
)
# A text of another kind, such as a sentence, must not cost the import.
_LIKE_SQL = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*|\()*(?:with|select|insert|update|delete|drop|truncate|alter|grant|revoke|merge"
    r"|replace|create|attach|vacuum|copy|call|exec)\b.*\S\s+\S",
    re.IGNORECASE | re.DOTALL,
)


def sql_facts(text: str, dialect: str | None = None) -> Facts:
    """Facts about one SQL text, which may hold several statements. Never raises.

    `dialect` is a name of `sql_script.DIALECTS` or of a database near one; any other counts as not known.
    """
    findings = Findings()
    findings.at_least(Effect.NETWORK)
    findings.headline("asks a database")
    judge_sql(text, dialect, findings, "the SQL")
    return findings.facts()


def judge_sql(text: str, dialect: str | None, findings: Findings, who: str) -> None:
    """Adds to `findings` what `text` does. `who` begins the sentences, such as `psql`. Never raises."""
    seen = read_sql(text, dialect)
    for fact in seen.facts:
        findings.detail(f"{who} {fact}")
    for name, sentence in seen.hazards.items():
        findings.hazard(name, f"{who} {sentence}")
    for reason, sentence in seen.opaque.items():
        findings.opaque(reason, f"{who} {sentence}")


def read_sql(text: str, dialect: str | None = None) -> Seen:
    """What a SQL text does. Never raises: what cannot be read is said to be opaque."""
    seen = Seen()
    if DYNAMIC in text:
        seen.unread("dynamic-sql", "runs SQL that is only known when it runs")
    # To some servers a carriage return ends a comment.
    plain = MARKS.sub("unknown", text).replace("\r\n", "\n").replace("\r", "\n")
    if len(plain) > MAX_CHARACTERS:
        seen.unread("sql-too-long", f"runs SQL of more than {MAX_CHARACTERS:,} characters")
        return seen
    if _CONTROL.search(plain):
        seen.unread("control-characters", "runs SQL that holds hidden characters")
    if _depth(plain) > MAX_NESTING:
        seen.unread("sql-nesting", "runs SQL nested too deeply to follow")
        return seen
    if _HASHES.search(plain):
        seen.hazard("secret.access", "reads password hashes")
    wanted = (dialect or "").lower()
    try:
        from handfast.observe.sql_reading import read

        seen.add(read(plain, _SAME.get(wanted, wanted)))
    except Exception as error:  # noqa: BLE001 - a reader that fails must gate the SQL, whatever the reason
        seen.unread("analyser-failed", f"runs SQL that cannot be read ({type(error).__name__})")
    return seen


def hazards_in_code(text: str) -> Seen | None:
    """What a string of a program does, where it is SQL and can be read as such; None where it is not."""
    if not _LIKE_SQL.match(text):
        return None
    seen = read_sql(text)
    return None if set(seen.opaque) & {"unparsable-sql", "unread-statement"} else seen


def _depth(text: str) -> int:
    deepest = depth = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest
