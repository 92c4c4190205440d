"""Statements told by their first words: one table, first match wins. The rest is for `sql_tree`.

`head` is a statement in capitals, without comments and quotes, its words one space apart.
"""

import re
from enum import Enum, auto

from handfast.observe.options import names
from handfast.observe.sql_seen import DESTRUCTIVE, PRIVILEGE, PROGRAM, SCHEMA, WRITE, Seen


class Rest(Enum):
    """What is left to do with a statement after its first words were judged."""

    DONE = auto()
    TREE = auto()  # its expressions may hold more
    CURSOR = auto()  # a query behind FOR
    EXPLAINED = auto()  # a statement that is only planned
    ANALYZED = auto()  # a statement that is planned and run


_ALTER_ROWS = re.compile(r"\b(DROP|TRUNCATE|EXCHANGE|SWITCH|DISCARD|DELETE|UPDATE|DETACH|CLEAR)\b")
_ALTER_RIGHTS = re.compile(
    r"ALTER (ROLE|USER|GROUP|LOGIN|SYSTEM|DEFAULT PRIVILEGES|AUTHORIZATION|POLICY|SERVER ROLE)\b"
    r"|\bOWNER TO\b|\bROW LEVEL SECURITY\b|\bAUTHORIZATION\b"
)
_ALTER_RUNS = re.compile(
    r"ALTER (SERVER|EXTENSION|SUBSCRIPTION|PUBLICATION|FUNCTION|PROCEDURE|PROC|TRIGGER|EVENT|TASK|PIPE|JOB)\b"
)

_HAZARDS: tuple[tuple[str, str, str], ...] = (
    (
        (
            r"DROP (ROLE|USER|LOGIN|GROUP|SERVER ROLE|POLICY)\b|(GRANT|REVOKE|DENY|REASSIGN|SECURITY LABEL)\b"
            r"|SET (ROLE|SESSION AUTHORIZATION|SESSION SESSION_REPLICATION_ROLE|SESSION_REPLICATION_ROLE|PASSWORD"
            r"|DEFAULT ROLE|GLOBAL|PERSIST\w*|(LOCAL )?ROLE|@@GLOBAL|@@PERSIST\w*|LOCAL SESSION_REPLICATION_ROLE)\b"
        ),
        PRIVILEGE,
        "changes who may do what",
    ),
    (
        (
            r"(DROP|TRUNCATE|REPLACE|UPSERT|PURGE|INSERT OVERWRITE|INSERT OR REPLACE|RESET (MASTER|REPLICA|SLAVE|QUERY))\b"
            r"|CREATE (OR REPLACE|OR ALTER) ((GLOBAL|LOCAL|TEMP|TEMPORARY|TRANSIENT|EXTERNAL) )*(TABLE|DATABASE|SCHEMA)\b"
        ),
        DESTRUCTIVE,
        "deletes or replaces",
    ),
    (
        (
            r"(VACUUM INTO|LOAD|INSTALL|FORCE INSTALL|ATTACH|UNLOAD|EXPORT|IMPORT|BACKUP|RESTORE|PUT|GET|REMOVE|RM|SHUTDOWN"
            r"|KILL|BULK|DBCC|CHANGE|RECONFIGURE|FLUSH|CHECKPOINT|UNINSTALL|CLONE|BINLOG|UPDATE EXTENSIONS|SYSTEM|SOURCE"
            r"|TEE|PAGER|EDIT|HOST|SPOOL|START (SLAVE|REPLICA|GROUP_REPLICATION)|STOP)\b|COPY INTO\b"
        ),
        PROGRAM,
        "reaches files, programs or the server itself",
    ),
    (
        r"(VACUUM|REINDEX|CLUSTER|OPTIMIZE|REPAIR|RENAME|UNDROP)\b|CREATE (OR REPLACE|OR ALTER)\b[\w ]*? VIEW\b",
        SCHEMA,
        "changes or rewrites what exists",
    ),
)
_CREATED = re.compile(
    r"CREATE ((?:OR REPLACE|OR ALTER|GLOBAL|LOCAL|TEMP|TEMPORARY|TRANSIENT|UNLOGGED|UNIQUE|CLUSTERED|NONCLUSTERED"
    r"|FULLTEXT|SPATIAL|BITMAP|MATERIALIZED|RECURSIVE|SECURE|HYBRID|DYNAMIC|ICEBERG|SNAPSHOT"
    r"|ALGORITHM ?= ?\w+|SQL SECURITY \w+) )*(\w+)"
)
_CREATED_DATA = names(
    "TABLE VIEW INDEX SCHEMA DATABASE KEYSPACE TYPE DOMAIN SEQUENCE STATISTICS COLLATION WAREHOUSE SYNONYM"
)
_CREATED_RIGHTS = re.compile(r"CREATE (OR REPLACE )?(USER(?! MAPPING)|ROLE|LOGIN|GROUP|POLICY)\b")
_READS = re.compile(
    r"(SHOW|HELP|CLOSE|FETCH|MOVE|LISTEN|UNLISTEN|ANALYZE|ANALYSE|DISCARD|DEALLOCATE|LOCK|UNLOCK|LIST|LS|PRINT|OPEN"
    r"|SUMMARIZE|EXIT|QUIT|WHENEVER|CHECKSUM|RESET|END|ABORT|SAVEPOINT|RELEASE|DETACH|CHECK TABLE|NOTIFY)\b"
    r"|SET [^(]*\Z|(USE|TABLE)( (ROLE|WAREHOUSE|DATABASE|SCHEMA))? [\w.$-]+( \.? ?[\w.$-]+)*\Z"
)
_TRANSACTION = re.compile(
    r"(BEGIN|START|COMMIT|ROLLBACK|SET)( (TRAN|TRANSACTION|WORK|DEFERRED|IMMEDIATE|EXCLUSIVE|CONCURRENT|READ|WRITE|ONLY"
    r"|ISOLATION|LEVEL|REPEATABLE|SERIALIZABLE|COMMITTED|UNCOMMITTED|NOT|DEFERRABLE|AND|NO|CHAIN|RELEASE|TO|SAVEPOINT"
    r"|WITH CONSISTENT SNAPSHOT|,))*( (?<=SAVEPOINT )\w+| (?<=TO )\w+)?\Z"
)
_WRITES = re.compile(r"(COMMENT ON|REFRESH MATERIALIZED VIEW)\b")
_EXPLAIN = re.compile(r"(EXPLAIN|DESC|DESCRIBE|ANALYZE|ANALYSE)\b")
PLANNED = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|MERGE|REPLACE|WITH|VALUES|EXECUTE|DECLARE|CREATE|CALL|DROP|TRUNCATE|ALTER|DO|COPY"
    r"|REFRESH)\b"
)
_PRAGMA = re.compile(
    r"PRAGMA (\w+ ?\. ?)?(TABLE_X?INFO|TABLE_LIST|INDEX_X?INFO|INDEX_LIST|DATABASE_LIST|FOREIGN_KEY_\w+|INTEGRITY_CHECK"
    r"|QUICK_CHECK|COMPILE_OPTIONS|FUNCTION_LIST|COLLATION_LIST|MODULE_LIST|PRAGMA_LIST|SHOW_TABLES\w*|STORAGE_INFO"
    r"|VERSION|DATABASE_SIZE)( ?[(=] ?['\w. ]+\)?)?\Z"
    r"|PRAGMA (\w+ ?\. ?)?(FOREIGN_KEYS|JOURNAL_MODE|SYNCHRONOUS|CACHE_SIZE|BUSY_TIMEOUT|TEMP_STORE|MMAP_SIZE"
    r"|CASE_SENSITIVE_LIKE|OPTIMIZE|QUERY_ONLY|THREADS|MEMORY_LIMIT|DEFER_FOREIGN_KEYS|RECURSIVE_TRIGGERS)"
    r"( ?= ?-?\w+| ?\( ?-?\w+ ?\))?\Z"
    r"|PRAGMA (\w+ ?\. ?)?\w+\Z(?<!WAL_CHECKPOINT)"
)
TREE = re.compile(r"(SELECT|WITH|VALUES|FROM|INSERT|UPDATE|DELETE|MERGE|COPY|PIVOT|UNPIVOT|\()")


def first_words(head: str, seen: Seen) -> Rest:
    """Judges a statement by its first words, and says what is left to look at."""
    shown = head[:60].strip()
    for pattern, hazard, sentence in _HAZARDS:
        if re.match(pattern, head):
            seen.hazard(hazard, f"{sentence}: {shown}")
            return Rest.DONE
    if head.startswith("ALTER"):
        _alter(head, shown, seen)
        return Rest.DONE
    if head.startswith("CREATE"):
        return _create(head, shown, seen)
    return _other(head, shown, seen)


def _alter(head: str, shown: str, seen: Seen) -> None:
    if _ALTER_RIGHTS.search(head):
        seen.hazard(PRIVILEGE, f"changes who may do what: {shown}")
    if _ALTER_RUNS.match(head):
        seen.hazard(PROGRAM, f"changes code or links the database runs: {shown}")
    if _ALTER_ROWS.search(head):
        seen.hazard(DESTRUCTIVE, f"deletes with ALTER: {shown}")
    if not seen.hazards:
        seen.hazard(SCHEMA, f"changes the structure of what exists: {shown}")


def _create(head: str, shown: str, seen: Seen) -> Rest:
    created = _CREATED.match(head)
    if _CREATED_RIGHTS.match(head):
        seen.hazard(PRIVILEGE, f"changes who may do what: {shown}")
    elif created is None or created[2] not in _CREATED_DATA:
        seen.hazard(PROGRAM, f"stores code or opens a way out of the database: {shown}")
    else:
        seen.hazard(WRITE, f"creates: {shown}")
        return Rest.TREE
    return Rest.DONE


def _other(head: str, shown: str, seen: Seen) -> Rest:
    if _EXPLAIN.match(head) and (planned := PLANNED.search(head)):
        return (
            Rest.ANALYZED if re.search(r"ANALY[SZ]E", head[: planned.start()]) else Rest.EXPLAINED
        )
    if re.match(r"(DESC|DESCRIBE|EXPLAIN)\b", head) or _reads(head):
        seen.fact(f"looks or prepares: {shown}")
        return Rest.DONE
    if _WRITES.match(head):
        seen.hazard(WRITE, f"changes what is stored beside the rows: {shown}")
        return Rest.DONE
    if re.match(r"DECLARE \w+ [\w ]*?CURSOR\b.*? FOR\b", head):
        return Rest.CURSOR
    if TREE.match(head):
        return Rest.TREE
    seen.unread("unread-statement", f"runs a statement that is not read in advance: {shown}")
    return Rest.DONE


def _reads(head: str) -> bool:
    return bool(_TRANSACTION.match(head) or _PRAGMA.match(head)) or (
        not re.match(r"(BEGIN|START|COMMIT|ROLLBACK|PRAGMA)\b", head) and bool(_READS.match(head))
    )
