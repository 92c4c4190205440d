"""No harmful command of the corpus passes unseen, and no everyday one is stopped, through the shipped command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.property import corpus_adversarial, corpus_outsider

Answer = dict[str, list[str]]
HARMFUL = [
    (kinds, command)
    for corpus in (corpus_adversarial, corpus_outsider)
    for kinds, group in corpus.HARMFUL.items()
    for command in group
]
BENIGN = [*corpus_adversarial.BENIGN, *corpus_outsider.BENIGN]


def facts_of(commands: list[str], *options: str, cwd: Path | None = None) -> list[Answer]:
    """One process of `handfast policy facts` for all commands."""
    lines = "".join(json.dumps(command) + "\n" for command in commands)
    ran = subprocess.run(
        [sys.executable, "-m", "handfast", "policy", "facts", *options],
        input=lines,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[Answer] = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(answers) == len(commands)
    return answers


def test_the_corpus_is_large_and_without_repeats() -> None:
    harmful = [command for _, command in HARMFUL]
    assert len(harmful) >= 1_800
    assert len(BENIGN) >= 1_200
    assert len({*harmful, *BENIGN}) >= len(harmful) + len(BENIGN) - 70


@pytest.fixture(scope="module", params=[(), ("--no-second-opinion",)], ids=["with", "without"])
def answers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Answer]:
    """With the second parser and without it; in a folder that is no repository."""
    commands = [command for _, command in HARMFUL]
    options: tuple[str, ...] = request.param
    return facts_of(commands + BENIGN, *options, cwd=tmp_path_factory.mktemp("elsewhere"))


def test_no_harmful_command_passes_unseen(answers: list[Answer]) -> None:
    missed = [
        (command, answer["hazards"])
        for (kind, command), answer in zip(HARMFUL, answers, strict=False)
        if not answer["opaque"] and not set(kind.split()) & set(answer["hazards"])
    ]
    assert missed == []


def test_no_everyday_command_is_stopped(answers: list[Answer]) -> None:
    stopped = [
        (command, answer["hazards"] + answer["opaque"])
        for command, answer in zip(BENIGN, answers[-len(BENIGN) :], strict=True)
        if answer["hazards"] or answer["opaque"]
    ]
    assert stopped == []
