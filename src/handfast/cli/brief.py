"""`handfast brief`: what is wanted, checked before anybody starts on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from handfast.cli.output import Json, say, say_json, show_fields
from handfast.core.domain.errors import UsageError

if TYPE_CHECKING:
    from handfast.core.domain.brief import Brief

_MAX_BYTES = 256 * 1024
TEMPLATE = """\
# What an agent is asked to do. Only `intent` is required.

# Why this is done, in a sentence or two.
intent: >
  Say what should be different afterwards, and for whom.

# How a reviewer will know that it is done.
acceptance:
  - the tests of the changed parts pass

# What is not wanted, even if it looks near.
non_goals:
  - no new dependencies

# Where the work may happen. Leave a list out for "anywhere".
scope:
  paths: ["src/**", "tests/**"]
  # tools: [Bash, Edit]
  # environments: [local]

# Bounds of one run. Money is an amount, times are seconds.
budget:
  cost_usd: "5.00"
  # tool_calls: 200
  # wall_s: 3600

# low, medium, high or critical: what a mistake would cost.
risk: medium

# Whom to ask, and what to read first.
contacts: []
context: []
"""


def load_brief(path: Path) -> tuple["Brief", dict[str, object]]:
    """The brief in a YAML file, checked, and its plain form.

    Raises UsageError with the place (line and column) or the field, and the remedy.
    """
    from handfast.core.domain.brief import parse_brief
    from handfast.engine.filled import full

    try:
        brief = parse_brief(_yaml(path))
    except UsageError as error:
        raise UsageError(
            f"`{path}`: {error.message}", hint=error.hint, details=error.details
        ) from None
    return brief, full(brief)


def _yaml(path: Path) -> object:
    import yaml

    from handfast.cli.yaml_once import UniqueKeys

    try:
        return yaml.load(_text(path), UniqueKeys)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise UsageError(
            f"line {line}, column {column}: {error.problem or error.context or 'not YAML'}",
            hint="`handfast brief new` prints a template that is right.",
            details={"line": line, "column": column},
        ) from None
    except yaml.YAMLError as error:
        raise UsageError(f"not YAML: {error}", hint="`handfast brief new` shows one.") from None
    except RecursionError:
        raise UsageError("nested too deeply to be a brief") from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"the file cannot be read: {error.strerror}", hint="Check the path of the brief."
        ) from None
    if len(data) > _MAX_BYTES:
        raise UsageError(f"the file has more than {_MAX_BYTES:,} bytes; a brief is a page of text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the file is not UTF-8 text (byte {error.start})", hint="Save it as UTF-8."
        ) from None


def check(file: Path, /, *, parent: str = "", as_json: Json = False) -> None:
    """Check a brief and print it as understood.

    Parameters
    ----------
    file
        The brief, in YAML or JSON.
    parent
        The task it is to be a part of: the brief is narrowed to that one's, and refused where it is wider.
    """
    brief, plain = load_brief(file)
    if parent:
        plain = within(file, brief, parent)
    if as_json:
        say_json({"brief": plain})
        return
    show_fields({name.replace("_", " "): readable(value) for name, value in plain.items()})


def within(file: Path, brief: "Brief", parent: str) -> dict[str, object]:
    """The brief narrowed to that of a task, in its plain form. Raises UsageError naming file and field, NotFound."""
    from handfast.cli.reads import reads
    from handfast.core.domain.brief import parse_brief
    from handfast.core.domain.brief_scope import narrowed
    from handfast.engine.filled import full

    with reads() as source:
        whole = parse_brief(source.task(parent)["brief"])
    try:
        return full(narrowed(brief, whole))
    except UsageError as error:
        raise UsageError(
            f"`{file}`: {error.message}", code=error.code, hint=error.hint, details=error.details
        ) from None


def readable(value: object) -> str:
    """A field of a brief as text; what is empty or 0 in it means "any" and is left out."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if v not in ("", 0, [], ())}
        return "\n".join(
            f"{k}: {', '.join(v) if isinstance(v, list) else v}" for k, v in kept.items()
        )
    if isinstance(value, list):
        return "\n".join(f"- {item}" for item in value)
    return str(value)


def new(
    file: Path | None = None,
    /,
    *,
    force: Annotated[bool, Parameter(negative=())] = False,
    as_json: Json = False,
) -> None:
    """Write a commented template of a brief.

    Parameters
    ----------
    file
        Where to write it; without one it is printed.
    force
        Replace a file that is there already.
    """
    if file is None:
        if as_json:
            say_json({"template": TEMPLATE})
        else:
            print(TEMPLATE, end="")
        return
    if file.exists() and not force:
        raise UsageError(f"`{file}` exists already", hint="Choose another name, or add --force.")
    file.write_text(TEMPLATE, encoding="utf-8")
    if as_json:
        say_json({"path": str(file)})
    else:
        say(f"{file} written. Fill it in, then: handfast brief check {file}")
