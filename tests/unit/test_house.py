"""The rules of the house that no linter of ours knows: sizes, names, purity, lock files, records."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import handfast

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "handfast"
CORE = PACKAGE / "core"
MODULES = sorted(PACKAGE.rglob("*.py"))

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}

# What the core may import from the standard library: values and functions, no world behind them.
CORE_MAY_IMPORT = {
    "abc", "base64", "binascii", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal",
    "enum", "fnmatch", "fractions", "functools", "hashlib", "heapq", "hmac", "itertools", "json", "math", "operator",
    "re", "statistics", "string", "struct", "types", "typing", "unicodedata",
}  # fmt: skip
# What must not be loaded behind its back, through a package's `__init__` for instance.
CORE_MUST_NOT_LOAD = {
    "asyncio", "http.client", "logging", "multiprocessing", "pydantic", "selectors", "socket", "sqlalchemy", "sqlite3",
    "ssl", "starlette", "subprocess", "tempfile",
}  # fmt: skip

LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-agents.lock"]


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _of_core() -> list[str]:
    return [_dotted(path) for path in MODULES if path.is_relative_to(CORE)]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the end, without the docstring."""
    whole = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is None:
        return whole
    said = function.body[0]
    return whole - ((said.end_lineno or said.lineno) - said.lineno + 1)


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module)):
                yield module
            case _:
                pass


def _in_git() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_modules_are_short() -> None:
    found = {_dotted(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: n for name, n in found.items() if n > MAX_MODULE_LINES} == {}


def test_functions_are_short() -> None:
    long = {
        f"{_dotted(path)}.{function.name}": n
        for path in MODULES
        for function in _functions(path)
        if (n := _lines(function)) > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_names_say_what_is_inside() -> None:
    assert [_dotted(path) for path in MODULES if set(_dotted(path).split(".")) & SAYS_NOTHING] == []


def test_every_module_says_what_it_is() -> None:
    assert [_dotted(path) for path in MODULES if not ast.get_docstring(_tree(path))] == []


def test_the_core_imports_only_what_is_allowed() -> None:
    found = [
        f"{_dotted(path)} imports {name}"
        for path in MODULES
        if path.is_relative_to(CORE)
        for name in _imported(path)
        if name.split(".")[0] not in CORE_MAY_IMPORT | {"__future__", "handfast"}
    ]
    assert found == []


@pytest.mark.parametrize("module", ["handfast", *_of_core()])
def test_importing_the_core_loads_no_io_module(module: str) -> None:
    """The linter does not see what a package's `__init__` pulls in; the running interpreter does."""
    code = f"import sys; before = set(sys.modules); import {module}; print(*sorted(set(sys.modules) - before))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "src",
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(ran.stdout.split()) & CORE_MUST_NOT_LOAD == set()


def test_importing_the_package_loads_no_other_part_of_it() -> None:
    code = "import sys, handfast; print(*[m for m in sys.modules if m.startswith('handfast.')])"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []


@pytest.mark.parametrize(
    "code",
    [
        "from handfast.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "import handfast.cli.hook, handfast.cli.serve, handfast.cli.execute, handfast.cli.relay",
        "import handfast.runner.hooks.endpoint, handfast.runner.supervisor.service, handfast.client",
        "import handfast.app, handfast.server.application, handfast.engine.relay.relay",
    ],
    ids=["help", "commands", "runner", "server"],
)
def test_the_relays_engine_is_loaded_only_by_a_relay_that_starts(code: str) -> None:
    """It takes more than a second and 30 MB; the linter sees imports, not what is loaded."""
    code += "\nimport sys; print('loaded' if 'dbos' in sys.modules else 'not loaded')"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "not loaded"


def test_public_names_are_fetched_when_they_are_used() -> None:
    assert [name for name in handfast.__all__ if not hasattr(handfast, name)] == []
    assert dir(handfast) == sorted(handfast.__all__)
    unknown = "Nothing"
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(handfast, unknown)


def _locked(name: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
    return dict(found)


def test_lock_files_name_no_registry() -> None:
    texts = {
        name: (ROOT / name).read_text() for name in [*LOCKS, "web/package-lock.json", "web/.npmrc"]
    }
    said = re.compile(
        r'https?://|--(extra-)?index-url|--find-links|"resolved"|^registry\b', re.MULTILINE
    )
    assert {name: found[0] for name, text in texts.items() if (found := said.search(text))} == {}


@pytest.mark.parametrize("name", LOCKS)
def test_locked_packages_are_pinned_by_hash(name: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_lock_files_agree_with_each_other() -> None:
    run, dev, agents = (_locked(name) for name in LOCKS)
    assert run.items() <= dev.items()
    assert {name for name in agents if name in dev and agents[name] != dev[name]} == set()
    assert "claude-agent-sdk" in agents
    assert "claude-agent-sdk" not in dev


def test_every_dependency_is_locked() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = config["dependency-groups"]
    wanted = {
        "requirements.lock": [
            *config["project"]["dependencies"],
            *config["project"]["optional-dependencies"]["postgres"],
        ],
        "requirements-dev.lock": [
            *groups["dev"],
            *config["project"]["optional-dependencies"]["otel"],
        ],
        "requirements-agents.lock": groups["agents"],
    }
    absent = {
        f"{name}: {line}"
        for name, lines in wanted.items()
        for line in lines
        if (plain := re.match(r"[\w.-]+", line)) and plain[0].lower() not in _locked(name)
    }
    assert absent == set(), "run `make lock`"


def test_browser_packages_are_pinned_exactly() -> None:
    package = json.loads((ROOT / "web/package.json").read_text())
    loose = {
        name: version
        for name, version in {**package["dependencies"], **package["devDependencies"]}.items()
        if not re.fullmatch(r"\d+\.\d+\.\d+", version)
    }
    assert loose == {}


def test_no_file_names_a_folder_of_one_machine() -> None:
    home = re.compile(rb"(?<![\w.])/(?:wor[k]|roo[t]|far[m])/[\w.]")
    found = [str(path.relative_to(ROOT)) for path in _in_git() if home.search(path.read_bytes())]
    assert found == []


RECORDS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_decision_names_the_test_that_holds_it(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    validation = re.search(r"^\*\*Validation\*\* (.+?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert validation, "a record ends with a line **Validation** that names what holds it"
    named = re.findall(r"`((?:tests|bench)/[\w./]+|make [\w-]+)", validation[1])
    assert named or record.stem.startswith("0000")
    assert [
        name for name in named if not name.startswith("make ") and not (ROOT / name).exists()
    ] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(record.stem[:4]) for record in RECORDS] == list(range(len(RECORDS)))
