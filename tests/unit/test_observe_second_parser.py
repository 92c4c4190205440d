"""The second parser adds doubt where it sees more than our reader, never takes any away."""

from dataclasses import replace

import pytest

from handfast.observe import secondparser
from handfast.observe.shell import shell_facts
from handfast.observe.syntax import Reader
from handfast.observe.textonly import text_scope
from handfast.observe.variables import Variables
from tests.property.corpus_adversarial import BENIGN, HARMFUL


def read(text: str) -> Reader:
    reader = Reader(text, Variables(("/x",), "/h", on_disk=False), lambda _: None)
    reader.read()
    return reader


AGREED = [
    "time rm -rf src | cat",
    "if [ -f x ]; then rm x; fi",
    'for i in $(ls); do echo "$i" > a b; done',
    "cat <<E | sh -s a\n$(date)\nE",
    '[[ $(a) == b ]] && ! c $(d "$(e)")',
    "f() { a; }; f; unset x; export Y=$(z)",
    "ünï=1 cömmand 'ä' \"$(ö)\"",
    "coproc a b",
    "x=(a $(b)); case $x in y) c;; esac",
]


@pytest.mark.parametrize("text", AGREED)
def test_both_see_the_same_commands(text: str) -> None:
    assert not secondparser.differs(text, read(text).commands)


@pytest.mark.parametrize("text", AGREED)
def test_a_command_our_reader_did_not_list_is_a_difference(text: str) -> None:
    commands = read(text).commands
    for number, command in enumerate(commands):
        if command.starts and command.argv[0].text not in {
            "[",
            "unset",
            "export",
            "coproc",
            "time",
        }:
            assert secondparser.differs(text, commands[:number] + commands[number + 1 :]), command


def test_a_missing_argument_is_a_difference() -> None:
    commands = read("(rm -rf src)").commands
    commands[0].starts.pop()
    assert secondparser.differs("(rm -rf src)", commands)


def test_what_it_refuses_is_a_difference() -> None:
    assert secondparser.differs("if true; then", [])


@pytest.mark.parametrize(
    "text",
    ["ls -la | head", "cat <<'E' > x.py\nif (a) { $(b) `c`\nE", "rm 'a b' \"c\" && ls; cd ~/x > y"],
)
def test_plain_text_starts_no_process(text: str) -> None:
    assert secondparser.is_plain(text)


@pytest.mark.parametrize(
    "text",
    ["a $(b)", "a `b`", "(a)", "{ a; }", "a <<E\nx\nE", "a <<'E'\nx\nEE", "a \\\n b", "a # b", "for x in a; do b; done",
     "a; time b", "a 'b", 'a "$x"', "a <(b)", "a & b", "a\r", "a <<-'E'\nx\n\tE", "! a", "a <<< b"],
)  # fmt: skip
def test_other_text_is_worth_asking_about(text: str) -> None:
    assert not secondparser.is_plain(text)


def test_it_never_loosens() -> None:
    scope = text_scope()
    without = replace(scope, second_opinion=False)
    for command in [c for group in HARMFUL.values() for c in group][::9] + BENIGN[::5]:
        asked, alone = shell_facts(command, scope), shell_facts(command, without)
        assert set(asked.hazards) == set(alone.hazards), command
        assert set(asked.opaque) >= set(alone.opaque), command


def test_without_the_program_there_is_no_second_opinion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secondparser, "binary", lambda: None)
    assert not secondparser.worth("a $(b)")
    assert shell_facts("(rm -rf src)", text_scope()).opaque == ()
