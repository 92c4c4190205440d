"""Which commands check something (tests, lint, types, format, build), and which leave files alone.

A table, not a judgement: a program is known by its name. What a project's own script of that name does is not seen.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from handfast.core.domain.claim_words import CheckKind
from handfast.observe.options import names

_TESTS, _LINT, _TYPES = (CheckKind.TESTS,), (CheckKind.LINT,), (CheckKind.TYPES,)
_FORMAT, _BUILD = (CheckKind.FORMAT,), (CheckKind.BUILD,)
Kinds = tuple[CheckKind, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """What a program is when its first words are `sub`. Words that are options are not looked at. `only` are options without
    which it is no check."""

    kinds: Kinds
    sub: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


_TABLE: Final[dict[str, tuple[Check, ...]]] = {
    **dict.fromkeys(
        names(
            "pytest py.test unittest nose2 tox nox jest vitest mocha ava rspec phpunit ctest bats trial"
        ),
        (Check(_TESTS),),
    ),
    **dict.fromkeys(
        names(
            "flake8 pylint eslint shellcheck stylelint golangci-lint rubocop ktlint hadolint yamllint"
        ),
        (Check(_LINT),),
    ),
    **dict.fromkeys(names("mypy pyright basedpyright pyre dmypy"), (Check(_TYPES),)),
    "ruff": (Check(_LINT, ("check",)), Check(_FORMAT, ("format",), ("--check", "--diff"))),
    "black": (Check(_FORMAT, (), ("--check",)),),
    "isort": (Check(_FORMAT, (), ("--check", "--check-only", "-c")),),
    "prettier": (Check(_FORMAT, (), ("--check", "-c")),),
    "biome": (Check(_LINT, ("check",)), Check(_LINT, ("lint",)), Check(_LINT, ("ci",))),
    "ty": (Check(_TYPES, ("check",)),),
    "tsc": (Check((CheckKind.TYPES, CheckKind.BUILD)),),
    "vue-tsc": (Check(_TYPES),),
    "pre-commit": (Check(_LINT, ("run",)),),
    "node": (Check(_TESTS, (), ("--test",)),),
    "deno": (Check(_TESTS, ("test",)), Check(_LINT, ("lint",)), Check(_TYPES, ("check",))),
    "go": (Check(_TESTS, ("test",)), Check(_LINT, ("vet",)), Check(_BUILD, ("build",))),
    "cargo": (
        Check(_TESTS, ("test",)),
        Check(_TESTS, ("nextest", "run")),
        Check(_LINT, ("clippy",)),
        Check(_TYPES, ("check",)),
        Check(_BUILD, ("build",)),
        Check(_FORMAT, ("fmt",), ("--check",)),
    ),
    **dict.fromkeys(
        ("mvn", "mvnw"),
        (
            Check(_TESTS, ("test",)),
            Check((CheckKind.TESTS, CheckKind.BUILD), ("verify",)),
            Check((CheckKind.TESTS, CheckKind.BUILD), ("package",)),
            Check(_BUILD, ("compile",)),
        ),
    ),
    **dict.fromkeys(
        ("gradle", "gradlew"),
        (
            Check(_TESTS, ("test",)),
            Check(_TESTS, ("check",)),
            Check((CheckKind.TESTS, CheckKind.BUILD), ("build",)),
            Check(_BUILD, ("assemble",)),
        ),
    ),
    "dotnet": (Check(_TESTS, ("test",)), Check(_BUILD, ("build",))),
    "swift": (Check(_TESTS, ("test",)), Check(_BUILD, ("build",))),
    "mix": (Check(_TESTS, ("test",)), Check(_BUILD, ("compile",))),
    "cmake": (Check(_BUILD, (), ("--build",)),),
    "docker": (Check(_BUILD, ("build",)),),
    "build": (Check(_BUILD),),  # python -m build
    "vite": (Check(_BUILD, ("build",)),),
    "webpack": (Check(_BUILD),),
}
# A project's own targets, by their names.
_RUNNERS: Final = names("make gmake just rake task npm yarn pnpm bun")
_TARGETS: Final = (
    (re.compile(r"(?:tests?|check|spec|ci)(?:[:_-][\w:-]+)?|t"), _TESTS),
    (re.compile(r"lint(?:[:_-][\w:-]+)?|eslint|ruff"), _LINT),
    (re.compile(r"(?:type-?check|types?|tsc|mypy|check-types)(?:[:_-][\w:-]+)?"), _TYPES),
    (re.compile(r"(?:format|fmt|prettier)[:_-]check|check[:_-]format"), _FORMAT),
    (re.compile(r"(?:build|compile)(?:[:_-][\w:-]+)?|all"), _BUILD),
)
# With one of these a program checks nothing, or says that all is well whatever it finds.
_VOID: Final = names(
    "--help -h --version -V --collect-only --co --setup-plan --setup-only --fixtures --markers --list --list-tests --listTests "
    "--dry-run --just-print --recon --passWithNoTests --pass-with-no-tests --if-present --exit-zero --exit-zero-even-if-changed "
    "--no-run --no-bail --force-exit-0 --ignore-errors --keep-going-zero --print-config --showConfig --show-files --show-settings "
    "--init --watch --watchAll -list -DskipTests -Dmaven.test.skip=true --suppress-tests --touch --question"
)
# The same, of one program: options, letters of its options that may stand together, first arguments.
_VOID_OF: Final = {
    **dict.fromkeys(("pytest", "py.test"), names("--cache-show --fixtures-per-test")),
    "tox": names("-l -a --listenvs --listenvs-all --notest"),
    "nox": names("-l --list-sessions --install-only"),
    "ctest": names("-N --show-only --print-labels"),
    "rspec": names("-v"),
    "jest": names("--clearCache --clear-cache"),
    **dict.fromkeys(
        ("mvn", "mvnw"),
        names("-v -fn --fail-never -Dmaven.test.failure.ignore -Dmaven.test.skip -DskipITs"),
    ),
    **dict.fromkeys(("gradle", "gradlew"), names("-m -x --exclude-task -PskipTests")),
    "go": names("-c -n -list"),
    "bats": names("-c --count"),
    "rake": names("-T -P -W -D -A -n --tasks --prereqs --describe --where"),
    "just": names("-l -n --summary --evaluate --show"),
    "eslint": names("-v --env-info"),
    "pylint": names("--list-msgs --list-msgs-enabled --list-groups --list-extensions"),
    "ruff": names("-e"),
    "tsc": names("-v --all"),
}
_VOID_LETTERS: Final = {"pytest": "h", "py.test": "h", "make": "ntqik", "gmake": "ntqik"}
_VOID_FIRST: Final = {
    "vitest": names("list init"),
    "golangci-lint": names("version linters help cache config completion formatters"),
    "dmypy": names("stop status kill suggest hang inspect start"),
}
_FIXES: Final = names(
    "--fix --fix-only --unsafe-fixes --write -w --in-place -i --autocorrect --autocorrect-all -a -A --apply --apply-unsafe "
    "--snapshot-update --updateSnapshot -u --inline-snapshot=fix --force-regen --regen-all"
)
_HAS_FIX: Final = names(
    "ruff eslint stylelint rubocop biome prettier jest vitest ktlint golangci-lint pytest cargo"
)
_LOCAL: Final = frozenset(("gradlew", "mvnw"))
_TRUSTED_PLACE: Final = re.compile(
    r"(?:.*/)?(?:\.?venv|env|virtualenv|node_modules)/(?:\.bin|bin|[^/]+/bin)/|/usr/(?:local/)?bin/|/bin/|vendor/bin/"
)


def kinds_of(words: Sequence[str]) -> Kinds:
    """What this command checks, none where it checks nothing. `words` are without wrappers."""
    name = program(words[0]) if words else ""
    arguments = words[1:]
    if not name or _voided(name, arguments):
        return ()
    if name in _RUNNERS and (found := _target(name, arguments)):
        return found
    plain = tuple(word for word in arguments if not word.startswith(("-", "+")))
    for check in _TABLE.get(name, ()):
        asked = not check.only or any(each in arguments for each in check.only)
        if asked and plain[: len(check.sub)] == check.sub:
            return check.kinds
    return ()


def program(word: str) -> str:
    """The program's name; '' for one at a path that is no environment's: anybody may have put it there."""
    place, _, name = word.rpartition("/")
    if not place or name in _LOCAL or _TRUSTED_PLACE.fullmatch(f"{place}/"):
        return name
    return ""


def _voided(name: str, arguments: Sequence[str]) -> bool:
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    options = {word.partition("=")[0] for word in before} | set(before)
    fixes = name in _HAS_FIX and bool(options & _FIXES)
    return (
        fixes
        or bool(options & (_VOID | _VOID_OF.get(name, frozenset())))
        or (bool(before) and before[0] in _VOID_FIRST.get(name, frozenset()))
        or any(_together(word, _VOID_LETTERS.get(name, "")) for word in before)
    )


def _together(word: str, letters: str) -> bool:
    """Whether `-qh` holds one of the letters. What stands behind a letter that takes a value is not told apart."""
    return re.fullmatch(r"-[A-Za-z]+", word) is not None and any(c in word for c in letters)


def _target(name: str, arguments: Sequence[str]) -> Kinds:
    """The kinds of every target that is named; a target that is none of them makes the whole no check."""
    before = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    named = [
        word
        for word, last in zip(before, ["", *before], strict=False)
        if not word.startswith("-") and "=" not in word and not _is_value(word, last)
    ]
    if name in ("npm", "yarn", "pnpm", "bun"):
        named = named[1:2] if named[:1] in (["run"], ["run-script"]) else named[:1]
    if not named:
        return _BUILD if name in ("make", "gmake") else ()
    found = [next((k for shape, k in _TARGETS if shape.fullmatch(each)), ()) for each in named]
    return tuple(dict.fromkeys(kind for kinds in found for kind in kinds)) if all(found) else ()


def _is_value(word: str, option: str) -> bool:
    return option in ("-C", "-f", "--prefix", "--cwd", "--dir") or (
        option in ("-j", "-l") and word.isdigit()
    )


_STILL: Final = names(
    "cd pwd pushd popd echo printf true : false test [ ls cat head tail grep egrep rg wc sort uniq cut tr which type date sleep set "
    "diff cmp stat file tree basename dirname realpath readlink env printenv id whoami uname ps df du jq column nl rev seq wait exit"
)
_STILL_GIT: Final = names(
    "status diff log show add commit rev-parse ls-files blame describe shortlog grep rev-list"
)


def leaves_files(words: Sequence[str]) -> bool:
    """Whether the command is known to change no file of the worktree. Writing through a redirection is not looked at here."""
    name = words[0].rpartition("/")[2] if words else "true"
    if name == "git":
        plain = [word for word in words[1:] if not word.startswith("-")]
        at = 1 if "-C" in words[1:2] else 0
        return len(plain) > at and plain[at] in _STILL_GIT
    if name in ("source", "."):
        return len(words) == 2 and words[1].endswith(("/bin/activate", "/Scripts/activate"))
    return name in _STILL
