"""Hazards in the syntax tree of one SQL statement: changed rows, written tables, called functions."""

from collections.abc import Callable

from sqlglot import exp

from handfast.observe.options import names
from handfast.observe.sql_functions import acts, computes, of_the_system
from handfast.observe.sql_seen import DESTRUCTIVE, PROGRAM, SCHEMA, WRITE, Seen
from handfast.observe.sql_where import picks_rows

_STATEMENTS = (
    exp.Query,
    exp.Values,
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Create,
    exp.Copy,
    exp.Table,
    exp.Paren,
    exp.Pivot,
)
_BEGINS = names(
    "drop delete truncate alter exec execute shutdown kill merge update insert grant revoke call backup restore"
)


def look(tree: exp.Expr, seen: Seen) -> None:
    """Adds what the statement does. A tree that is no statement known here is opaque."""
    if not isinstance(tree, _STATEMENTS):
        seen.unread(
            "unread-statement", f"runs a statement that is not read in advance: {_shown(tree)}"
        )
    for node in tree.walk():
        for kind, rule in _RULES:
            if isinstance(node, kind):
                rule(node, seen)
                break


def count_changes(tree: exp.Expr) -> int:
    """How many of its words DELETE and UPDATE the tree accounts for."""
    return sum(1 for _ in tree.find_all(exp.Delete, exp.Update))


def _shown(node: exp.Expr) -> str:
    return " ".join(node.sql().split())[:80]


def _table(node: exp.Expr) -> str:
    table = node.find(exp.Table)
    return (table.name if table is not None else "") or "a table"


def _delete(node: exp.Expr, seen: Seen) -> None:
    if isinstance(node.parent, exp.When):
        return
    if picks_rows(node.args.get("where")):
        seen.hazard(WRITE, f"deletes the rows of {_table(node)} a condition picks: {_shown(node)}")
    else:
        seen.hazard(
            DESTRUCTIVE, f"deletes rows of {_table(node)} with no condition that picks them"
        )


def _update(node: exp.Expr, seen: Seen) -> None:
    if isinstance(node.parent, exp.When):
        return
    if picks_rows(node.args.get("where")):
        seen.hazard(WRITE, f"changes the rows of {_table(node)} a condition picks: {_shown(node)}")
    else:
        seen.hazard(
            DESTRUCTIVE, f"changes rows of {_table(node)} with no condition that picks them"
        )


def _insert(node: exp.Expr, seen: Seen) -> None:
    if node.args.get("overwrite") or str(node.args.get("alternative") or "").upper() == "REPLACE":
        seen.hazard(DESTRUCTIVE, f"replaces rows of {_table(node)}")
    elif isinstance(node.this, exp.Directory) or acts(_table(node)):
        seen.hazard(PROGRAM, "writes rows into files")
    else:
        seen.hazard(WRITE, f"adds rows to {_table(node)}")


def _conflict(node: exp.Expr, seen: Seen) -> None:
    if str(node.args.get("action") or "").upper() != "DO NOTHING":
        seen.hazard(DESTRUCTIVE, "overwrites rows that exist already")


def _when(node: exp.Expr, seen: Seen) -> None:
    if not isinstance(node.args.get("then"), exp.Insert):
        seen.hazard(DESTRUCTIVE, "changes or deletes the rows that match")


def _destroys(node: exp.Expr, seen: Seen) -> None:
    seen.hazard(DESTRUCTIVE, f"deletes or alters: {_shown(node)}")


def _into(node: exp.Expr, seen: Seen) -> None:
    seen.hazard(SCHEMA, f"makes a table out of a query: {_shown(node)}")


def _copy(node: exp.Expr, seen: Seen) -> None:
    ends = {str(each).strip("'\"").upper() for each in node.args.get("files") or []}
    if ends == {"STDIN"}:
        seen.hazard(WRITE, f"adds rows to {_table(node)}")
    elif ends != {"STDOUT"}:
        seen.hazard(PROGRAM, "moves data between the database and a file or program")


def _command(node: exp.Expr, seen: Seen) -> None:
    seen.unread("unread-statement", f"runs a statement that is not read in advance: {_shown(node)}")


def _function(node: exp.Expr, seen: Seen) -> None:
    parent = node.parent
    schema = parent.this.name if isinstance(parent, exp.Dot) and parent.expression is node else ""
    named = isinstance(node, exp.Anonymous | exp.AnonymousAggFunc | exp.ParameterizedAgg)
    name = str(node.this if named else node.meta.get("name") or type(node).__name__)
    if acts(name):
        seen.hazard(PROGRAM, f"calls {name}, which acts outside the query")
    elif (schema and not of_the_system(schema)) or (named and not computes(name)):
        seen.unread("unknown-function", f"calls {name}, which may do anything")


def _name(node: exp.Expr, seen: Seen) -> None:
    """`SELECT 1 SHUTDOWN`: some servers take what reads as an alias for a second statement."""
    alias = node.args.get("alias")
    name = alias.this if isinstance(alias, exp.TableAlias) else alias
    if (
        isinstance(name, exp.Identifier)
        and not name.args.get("quoted")
        and name.name.lower() in _BEGINS
    ):
        seen.unread(
            "unread-keyword",
            f"holds the word {name.name.upper()} where another statement may begin",
        )


_RULES: tuple[tuple[type | tuple[type, ...], Callable[[exp.Expr, Seen], None]], ...] = (
    (exp.Delete, _delete),
    (exp.Update, _update),
    (exp.Insert, _insert),
    (exp.OnConflict, _conflict),
    (exp.When, _when),
    ((exp.Drop, exp.TruncateTable, exp.Alter, exp.Grant, exp.Revoke), _destroys),
    (exp.Into, _into),
    (exp.Copy, _copy),
    (exp.Command, _command),
    (exp.Func, _function),
    ((exp.Alias, exp.Table, exp.Subquery), _name),
)
