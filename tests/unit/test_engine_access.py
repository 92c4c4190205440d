"""Credentials: who a token is, what ends it, and what no token can be."""

import stat
from pathlib import Path

import pytest

from handfast.core.domain.agent import AGENT_SCOPES
from handfast.core.domain.errors import (
    InvalidTransition,
    NotFound,
    NotPermitted,
    StorageError,
    UsageError,
)
from handfast.core.domain.installation import Installation
from handfast.engine.access import PrincipalKind
from tests.engine_room import OPERATOR, Room, parallel

FILE_KINDS = [PrincipalKind.RUNNER, PrincipalKind.OPERATOR]


def _refused(room: Room, token: str) -> None:
    with pytest.raises(NotPermitted) as caught:
        room.engine.access.principal(token)
    assert caught.value.code == "unauthenticated"
    if len(token) > 10:
        assert token not in caught.value.message


def test_a_token_is_its_agent_until_it_is_revoked(room: Room) -> None:
    issued = room.engine.agents.issue(OPERATOR, room.agent_id)
    who = room.engine.access.principal(issued.token)
    assert (who.kind, who.id, who.scopes) == (PrincipalKind.AGENT, room.agent_id, AGENT_SCOPES)
    assert who.actor.auth == "token"
    room.engine.agents.revoke(OPERATOR, issued.token_id)
    room.engine.agents.revoke(OPERATOR, issued.token_id)
    _refused(room, issued.token)
    assert room.types().count("agent.token_revoked") == 1


def test_a_token_ends_on_time(room: Room) -> None:
    issued = room.engine.agents.issue(OPERATOR, room.agent_id, ("read",), 60)
    room.clock.move(59.999999)
    assert room.engine.access.principal(issued.token).scopes == {"read"}
    room.clock.move(0.000001)
    _refused(room, issued.token)


@pytest.mark.parametrize("scopes", [("decide",), ("read", "admin"), ("*",)])
def test_no_token_of_an_agent_decides(room: Room, scopes: tuple[str, ...]) -> None:
    with pytest.raises(InvalidTransition):
        room.engine.agents.issue(OPERATOR, room.agent_id, scopes)
    issued = room.engine.agents.issue(OPERATOR, room.agent_id)
    asked = room.propose("t1", "git push")
    with pytest.raises(NotPermitted):
        room.decide(asked["handoff_id"], actor=room.engine.access.principal(issued.token).actor)


def test_a_suspended_agent_gets_no_new_token(room: Room) -> None:
    room.engine.agents.suspend(OPERATOR, room.agent_id, "odd")
    with pytest.raises(InvalidTransition, match="suspended"):
        room.engine.agents.issue(OPERATOR, room.agent_id)
    with pytest.raises(NotFound):
        room.engine.agents.issue(OPERATOR, "ag_none")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "hfa_",
        "hfa_x_y",
        "hfr_",
        "hfo_x",
        "hfp_x",
        "Bearer x",
        "hfa_\0_x",
        "hfa_\ud800_x",
        "h" * 9000,
    ],
)
def test_what_is_no_token_is_refused(room: Room, token: str) -> None:
    _refused(room, token)


def test_a_token_with_another_secret_is_refused(room: Room) -> None:
    issued = room.engine.agents.issue(OPERATOR, room.agent_id)
    _refused(room, issued.token[:-1] + ("a" if issued.token[-1] != "a" else "b"))
    _refused(room, issued.token + "a")


def test_only_a_token_of_an_agent_can_be_revoked(room: Room) -> None:
    for wrong in ("tok_none", f"pin:{room.me.id}", "runner"):
        with pytest.raises(UsageError):
            room.engine.agents.revoke(OPERATOR, wrong)


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_a_file_token_is_made_once_for_its_user_alone(room: Room, kind: PrincipalKind) -> None:
    tokens = parallel(lambda _: room.engine.access.ensure_file_token(room.home, kind))
    assert len(set(tokens)) == 1
    path = room.home / f"{kind.value}.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert room.engine.access.principal(tokens[0]).kind is kind
    assert [p.name for p in room.home.iterdir() if p.name.startswith(f".{kind.value}")] == []
    _refused(room, tokens[0] + "x")


def test_a_file_token_the_database_never_heard_of_is_mended(room: Room) -> None:
    """As after a crash between the two."""
    path = room.home / "runner.token"
    path.write_text("hfr_" + "s" * 43 + "\n")
    token = room.engine.access.ensure_file_token(room.home, PrincipalKind.RUNNER)
    assert token == "hfr_" + "s" * 43
    assert room.engine.access.principal(token).kind is PrincipalKind.RUNNER


@pytest.mark.parametrize("text", ["", "hfr_", "hfr_short", "hfo_" + "s" * 43, "rubbish"])
def test_a_file_that_holds_no_token_is_refused(room: Room, text: str) -> None:
    (room.home / "runner.token").write_text(text)
    with pytest.raises(StorageError, match="holds no token"):
        room.engine.access.ensure_file_token(room.home, PrincipalKind.RUNNER)


def test_a_removed_file_gets_a_new_token_and_the_old_one_ends(room: Room) -> None:
    first = room.engine.access.ensure_file_token(room.home, PrincipalKind.RUNNER)
    Path(room.home / "runner.token").unlink()
    second = room.engine.access.ensure_file_token(room.home, PrincipalKind.RUNNER)
    assert first != second
    _refused(room, first)
    room.engine.access.principal(second)


def test_refusals_are_in_the_audit_trail(room: Room) -> None:
    room.engine.access.refused(OPERATOR, "decide " + "x" * 500, "a token cannot")
    assert room.engine.kernel.state(Installation, "1").refusals == 1


def test_names_of_agents_are_unique_and_printable(rooms: Room) -> None:
    with pytest.raises(InvalidTransition, match="already"):
        rooms.engine.agents.add(OPERATOR, " claude ", "none")
    for wrong in ("", "  ", "x" * 101, "a\nb", "a\0b", "\u202ea", "\ud800"):
        with pytest.raises(UsageError):
            rooms.engine.agents.add(OPERATOR, wrong, "none")

    def work(_: int) -> object:
        try:
            return rooms.engine.agents.add(OPERATOR, "\u00e9t\u00e9 \U0001f600", "none")["agent_id"]
        except InvalidTransition:
            return None

    assert len(set(parallel(work)) - {None}) == 1
    assert rooms.types().count("agent.registered") == 2
