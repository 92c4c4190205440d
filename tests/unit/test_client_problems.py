"""Errors come back from the wire as the classes they were, with code, hint and details."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import handfast
from handfast.client.problems import error_of
from handfast.core.domain import errors
from handfast.core.domain.errors import HandfastError
from handfast.server.problems import problem_of

SOURCE = Path(handfast.__file__).parent


def _classes(root: type[HandfastError]) -> Iterator[type[HandfastError]]:
    """Those of the domain: what a client raises by itself never comes over the wire."""
    yield root
    for each in root.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from _classes(each)


def _back(error: HandfastError) -> HandfastError:
    import orjson

    problem = problem_of(error)
    return error_of(problem.status, orjson.dumps(problem.body()))


@pytest.mark.parametrize("cls", list(_classes(HandfastError)), ids=lambda cls: cls.__name__)
def test_every_error_comes_back_as_what_it_was(cls: type[HandfastError]) -> None:
    sent = cls("`x` went wrong", hint="do that", retryable=True, details={"decided_by": "pe_1"})
    back = _back(sent)
    assert type(back) is cls
    assert (back.message, back.code, back.hint) == (sent.message, sent.code, "do that")
    assert back.retryable
    assert back.details == {"decided_by": "pe_1"}


def _raised_with_codes() -> Iterator[tuple[str, str]]:
    """Every code of its own that the domain and the engine give an error, with the error's class."""
    names = {cls.__name__ for cls in _classes(HandfastError)}
    for folder in ("core", "engine"):
        for path in sorted((SOURCE / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                    continue
                if node.func.id not in names:
                    continue
                for keyword in node.keywords:
                    if keyword.arg == "code":
                        for each in ast.walk(keyword.value):
                            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                                yield node.func.id, each.value


def test_codes_narrower_than_their_class_are_known() -> None:
    wrong = []
    for name, code in _raised_with_codes():
        cls = getattr(errors, name)
        back = _back(cls("x", code=code))
        if issubclass(cls, errors.RejectedError | errors.UsageError) and type(back) is not cls:
            wrong.append(f"{name} {code} comes back as {type(back).__name__}")
    assert wrong == []


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, b"oops", "server_failed"),
        (502, b"<html>bad gateway", "server_unavailable"),
        (404, b"<html>", "not_handfast"),
        (418, b'{"code": 7}', "not_handfast"),
        (400, b'"x"', "not_handfast"),
    ],
)
def test_what_is_no_problem_body_says_so(status: int, body: bytes, code: str) -> None:
    assert error_of(status, body).code == code
