"""Reads a SQL script statement by statement in one dialect or in several. Imports sqlglot."""

import logging
import re
from functools import cache

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from handfast.observe.sql_script import DIALECTS, client_commands
from handfast.observe.sql_seen import Seen
from handfast.observe.sql_statements import PLANNED, TREE, Rest, first_words
from handfast.observe.sql_tree import count_changes, look

_CLIENTS = {"psql": "postgres"}
_MAX_STATEMENTS = 1_000
_MAX_DEPTH = 3
_ALWAYS = re.compile(
    r"DROP|TRUNCATE|ALTER|GRANT|REVOKE|EXEC|EXECUTE|CALL|MERGE|SHUTDOWN|OUTFILE|DUMPFILE|ATTACH|PREPARE"
)
_FOR = re.compile(r"\bFOR\b")
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_TEXT = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_IN_COMMENT = re.compile(
    r"\b(drop|truncate|delete|update|alter|grant|exec\w*|call|insert|replace)\b", re.IGNORECASE
)


def read(text: str, dialect: str) -> Seen:
    """`dialect` is a name of `DIALECTS`, `psql`, or anything else for not known."""
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    seen = Seen()
    known = dialect in {*DIALECTS, *_CLIENTS}
    plain = client_commands(text, dialect if known else "", seen)
    first = (_CLIENTS.get(dialect, dialect),) if known else DIALECTS
    readings = _readings(plain, first)
    if known and not readings:
        readings = _readings(plain, tuple(name for name in DIALECTS if name not in first))
    for each in readings:
        seen.add(each)
    if not readings:
        seen.unread(
            "unparsable-sql", f"runs SQL that cannot be read: {' '.join(text.split())[:80]}"
        )
    return seen


def _readings(text: str, dialects: tuple[str, ...]) -> list[Seen]:
    found = [reading for name in dialects if (reading := _read_as(text, name)) is not None]
    # A statement one dialect has no words for, and another reads in full, is read.
    whole = [reading for reading in found if "unread-statement" not in reading.opaque]
    for reading in found:
        if whole and reading not in whole:
            reading.opaque.pop("unread-statement")
    return found


@cache
def _dialect(name: str) -> Dialect:
    return Dialect.get_or_raise(name)


def _read_as(text: str, name: str) -> Seen | None:
    """None where the text is none of this dialect."""
    seen = Seen()
    try:
        _script(text, _dialect(name), seen, 0)
    except (SqlglotError, RecursionError):
        return None
    return seen


def _script(text: str, dialect: Dialect, seen: Seen, depth: int) -> None:
    statements = _split(dialect.tokenize(text), seen)
    if len(statements) > _MAX_STATEMENTS:
        seen.unread("sql-too-long", f"runs more than {_MAX_STATEMENTS:,} statements")
    for tokens in statements[:_MAX_STATEMENTS]:
        one = Seen()
        _statement(tokens, text, dialect, one, depth)
        seen.add(one)


def _split(tokens: list[Token], seen: Seen) -> list[list[Token]]:
    statements: list[list[Token]] = [[]]
    for token in tokens:
        for comment in token.comments:
            # `--1; DROP …` is a comment to some and an expression to others; `#` likewise.
            if re.match(r"[^\s-]", comment) and ";" in comment and _IN_COMMENT.search(comment):
                seen.unread("comment", "holds statements in a comment that not every server skips")
        if token.token_type is TokenType.SEMICOLON:
            statements.append([])
        else:
            statements[-1].append(token)
    return [each for each in statements if each]


def _statement(tokens: list[Token], text: str, dialect: Dialect, seen: Seen, depth: int) -> None:
    head = _head(tokens)
    rest = first_words(head, seen)
    if rest in {Rest.EXPLAINED, Rest.ANALYZED, Rest.CURSOR}:
        _inner(rest, tokens, text, dialect, seen, depth)
        return
    changes = 0
    if rest is Rest.TREE:
        for tree in dialect.parser(error_level=ErrorLevel.RAISE).parse(tokens, text):
            if tree is not None:
                look(tree, seen)
                changes += count_changes(tree)
    if not seen.gated:
        _second_look(tokens, changes, seen)


def _head(tokens: list[Token]) -> str:
    words: list[str] = []
    for token in tokens[:80]:
        literal = token.token_type is TokenType.STRING and words and len(tokens) > 2
        words.append("''" if literal else _COMMENT.sub(" ", token.text))
    return " ".join(" ".join(words).upper().split())[:4_000]


def _inner(
    rest: Rest, tokens: list[Token], text: str, dialect: Dialect, seen: Seen, depth: int
) -> None:
    """The statement behind EXPLAIN or a cursor's FOR. One that is only planned does nothing."""
    if rest is Rest.EXPLAINED:
        seen.fact("asks how a statement would run")
        return
    whole = _COMMENT.sub(" ", " ".join(token.text for token in tokens[1:]))
    if len(tokens) > 2:
        whole = _COMMENT.sub(" ", text[tokens[0].end + 1 : tokens[-1].end + 1])
    begin = (_FOR if rest is Rest.CURSOR else PLANNED).search(whole.upper())
    inner = Seen()
    if begin is None or depth >= _MAX_DEPTH:
        inner.unread("unread-statement", "plans and runs a statement that is not read in advance")
    else:
        start = begin.end() if rest is Rest.CURSOR else begin.start()
        _script(whole[start:], dialect, inner, depth + 1)
    if rest is Rest.ANALYZED and inner.hazards:
        inner.unread("explain-analyze", "runs a change to measure it")
    seen.add(inner)


def _second_look(tokens: list[Token], changes: int, seen: Seen) -> None:
    """Words that begin a change must be accounted for: a tree that left them out was misread."""
    words = _words(tokens)
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        if word == "MERGE" and not before:
            continue
        if before == "." or after in {".", "("} or before in {"AS", "SHOW"}:
            continue
        if word in {"DELETE", "UPDATE"} and before not in {
            "ON",
            "FOR",
            "KEY",
            "OR",
            "BEFORE",
            "AFTER",
        }:
            changes -= 1
        elif not _ALWAYS.fullmatch(word):
            continue
        if changes < 0 or _ALWAYS.fullmatch(word):
            seen.unread(
                "unread-keyword", f"holds the word {word} where another statement may begin"
            )


def _words(tokens: list[Token]) -> list[str]:
    words: list[str] = []
    command = len(tokens) == 2 and not TREE.match(tokens[0].text.upper())
    for token in tokens:
        if token.token_type is TokenType.STRING and not command:
            words.append("''")
        elif token.token_type is TokenType.STRING:
            words += re.findall(r"\w+|\S", _TEXT.sub(" ", _COMMENT.sub(" ", token.text)).upper())
        elif token.token_type is TokenType.IDENTIFIER:
            words.append('""')
        else:
            words.append(token.text.upper())
    return words
