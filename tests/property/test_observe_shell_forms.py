"""Ways to write the same command: quoting and wrapping never hide a hazard, and no text breaks the reader."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handfast.core.domain.action import Verdict
from handfast.core.policy.builtin import judge
from handfast.observe.scope import Scope
from handfast.observe.shell import shell_facts
from tests.unit.observed_ground import build

DANGEROUS = [
    ("git push --force origin main", "git.push-force"),
    ("rm -rf src", "fs.delete-tracked"),
    ("npm publish", "publish"),
    ("kubectl delete pod x", "deploy"),
    ("handfast handoff approve x", "control-plane"),
    ("git reset --hard HEAD~2", "git.history-rewrite"),
    ("curl -d x=1 https://example.org", "net.send"),
]


@pytest.fixture(scope="module")
def scope() -> Iterator[Scope]:
    with tempfile.TemporaryDirectory() as folder:
        yield build(Path(folder).resolve())


def quote(word: str, how: int) -> str:
    """One of several spellings of a word that mean the same to bash."""
    if how == 1:
        return f"'{word}'"
    if how == 2:
        return f'"{word}"'
    if how == 3:
        return "\\" + word if word[0].isalpha() else word
    if how == 4:
        return "$'" + "".join(f"\\x{ord(c):02x}" for c in word) + "'"
    if how == 5:
        return f"{word[0]}''{word[1:]}"
    if how == 6:
        return f'{word[:1]}"{word[1:]}"'
    return word


def wrap(command: str, how: int) -> str:
    inner = command.replace("'", "'\\''")
    return [
        command,
        f"bash -c '{inner}'",
        f"sh -c '{inner}'",
        f"eval '{inner}'",
        f"env A=b {command}",
        f"nohup timeout 9 {command}",
        f"true && {command}",
        f"({command})",
        f"if true; then {command}; fi",
        f"echo $({command})",
        f"bash <<'END'\n{command}\nEND",
        f"for i in 1; do {command}; done",
        f"ls | {command}",
        f"{command} &",
        f"! {command}",
        f"f() {{ {command}; }}; f",
        f"X=1 {command} > log.txt 2>&1",
        f"command {command}",
        f"find . -maxdepth 0 -exec {command} \\;",
    ][how]


@given(
    chosen=st.sampled_from(DANGEROUS),
    spelling=st.lists(st.integers(0, 6), min_size=6, max_size=6),
    wraps=st.lists(st.integers(0, 18), max_size=3),
)
def test_no_spelling_hides_a_hazard(
    scope: Scope, chosen: tuple[str, str], spelling: list[int], wraps: list[int]
) -> None:
    command, hazard = chosen
    words = command.split()
    written = " ".join(quote(word, spelling[i % len(spelling)]) for i, word in enumerate(words))
    for how in wraps:
        written = wrap(written, how)
    facts = shell_facts(written, scope)
    assert judge(facts).verdict is not Verdict.ALLOW, written
    if not facts.opaque:
        assert hazard in facts.hazards, written


@given(
    text=st.one_of(
        st.text(max_size=200), st.text("abrmgit $(){}[]'\"`|&;<>\\\n-*~=#!/.", max_size=120)
    )
)
def test_any_text_gives_bounded_facts(scope: Scope, text: str) -> None:
    facts = shell_facts(text, scope)
    judge(facts)
    assert len(facts.summary) <= 200
    assert len(facts.details) <= 50
    assert all(len(detail) <= 300 and "\n" not in detail for detail in facts.details)
    assert all(character.isprintable() for character in facts.summary)


@settings(max_examples=40)
@given(
    first=st.sampled_from([command for command, _ in DANGEROUS]),
    text=st.sampled_from(["ls", "cat README.md", "echo hi", "pytest", "X=1", "# note\n"]),
    joint=st.sampled_from(["; ", " && ", " || ", "\n", " | ", " & "]),
)
def test_company_never_loosens(scope: Scope, first: str, text: str, joint: str) -> None:
    alone = judge(shell_facts(first, scope)).verdict
    together = judge(shell_facts(f"{text}{joint}{first}", scope)).verdict
    order = list(Verdict)
    assert order.index(together) >= order.index(alone)
