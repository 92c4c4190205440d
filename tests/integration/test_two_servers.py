"""Two `handfast serve` on one PostgreSQL: what one does the other shows at once, and nothing is done twice."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from handfast.app import open_engine
from handfast.core.audit.note import parse_checkpoint, parse_note
from handfast.core.domain.errors import IntegrityError, NotPermitted
from handfast.core.domain.events import Actor
from handfast.engine.access import PrincipalKind, server_id
from handfast.engine.facade import Engine
from handfast.engine.people import NewPerson
from handfast.server.serving import ServerThread
from handfast.testing.store_writes import check_log
from tests.commands import Command, serving
from tests.served import _TLS, LOGIN, OPERATOR, PASSWORD, PIN, PUSH, Json, decision

pytestmark = pytest.mark.postgres


def _client(url: str, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=90, trust_env=False, verify=_TLS)


@dataclass
class Pair:
    """Two servers with data folders of their own and the same keys."""

    engines: tuple[Engine, Engine]
    servers: tuple[ServerThread, ServerThread]
    tokens: tuple[dict[str, str], dict[str, str]]
    agent_id: str
    me: Actor
    _open: ExitStack

    def client(self, at: int, kind: str = "operator") -> httpx.Client:
        made = _client(self.servers[at].url, self.tokens[at][kind])
        return self._open.enter_context(made)

    def stop(self, at: int, command: str = "git push origin main") -> Json:
        """A push that waits, asked for at one server."""
        client = self.client(at, "runner")
        body = {"session_id": f"s-{command}", "cwd": "/srv/x", "mode": "enforce"}
        body["agent_id"] = self.agent_id
        run = client.post("/v1/runs", json=body)
        assert run.status_code == 201, run.text
        call = {"tool": "Bash", "arguments": {"command": command}}
        asked = client.post(
            f"/v1/runs/{run.json()['run_id']}/actions",
            json={"key": "t1", "call": call, "facts": PUSH["facts"]},
        )
        assert asked.json()["verdict"] == "wait", asked.text
        found: Json = self.client(at).get(f"/v1/handoffs/{asked.json()['handoff_id']}").json()
        return found


@pytest.fixture
def pair(pg_ready_url: str, tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        first = open_engine(pg_ready_url, tmp_path / "a")
        shutil.copytree(tmp_path / "a" / "keys", tmp_path / "b" / "keys")
        second = open_engine(pg_ready_url, tmp_path / "b")
        agent_id = str(first.agents.add(OPERATOR, "claude", "claude-code")["agent_id"])
        new = NewPerson("Noor", LOGIN, PASSWORD, PIN)
        person_id = str(first.people.set_up(second.people.invite(), new)["person_id"])
        tokens = tuple(
            {k.value: e.access.ensure_file_token(e.home, k) for k in (PrincipalKind.RUNNER, PrincipalKind.OPERATOR)}
            for e in (first, second)
        )  # fmt: skip
        for engine in (first, second):
            stack.callback(engine.close)
        servers = tuple(stack.enter_context(ServerThread(e)) for e in (first, second))
        me = Actor("person", person_id, "browser")
        yield Pair((first, second), servers, tokens, agent_id, me, stack)  # type: ignore[arg-type]


def _until(holds: Callable[[], Any], what: str, within_s: float = 120) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what} never came about"
        time.sleep(0.02)
    return found


def test_a_decision_at_one_server_ends_the_wait_at_the_other(pair: Pair) -> None:
    handoff = pair.stop(0)
    answers: list[httpx.Response] = []

    def wait() -> None:
        path = f"/v1/handoffs/{handoff['handoff_id']}/wait?timeout_s=60"
        answers.append(pair.client(1).get(path))

    hub = pair.servers[1].hub
    waiting = threading.Thread(target=wait)
    waiting.start()
    _until(lambda: hub.waiting(f"handoff/{handoff['handoff_id']}"), "the wait")
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    decided = pair.client(0).post(path, json=decision(handoff))
    assert decided.status_code == 201, decided.text
    waiting.join(90)
    assert answers[0].status_code == 200, answers[0].text
    assert answers[0].json()["decided"] is True


def test_what_holds_at_one_server_holds_at_the_other(pair: Pair) -> None:
    """Sessions, the kill switch, a published policy, an agent's token: all of it is in the database."""
    first, second = pair.engines
    session = first.people.sign_in(LOGIN, PASSWORD)
    assert second.people.of_session(session.secret) == pair.me.id
    first.people.sign_out(session.secret)
    assert second.people.of_session(session.secret) == ""
    token = first.agents.issue(OPERATOR, pair.agent_id)
    assert second.access.principal(token.token).id == pair.agent_id
    second.agents.revoke(OPERATOR, token.token_id)
    with pytest.raises(NotPermitted):
        first.access.principal(token.token)
    first.policies.propose(pair.me, "organisation", "version: 1\nbuiltin: {off: [push]}\n")
    run = {"session_id": "p", "cwd": "/srv/x", "mode": "enforce", "agent_id": pair.agent_id}
    client = pair.client(1, "runner")
    run_id = client.post("/v1/runs", json=run).json()["run_id"]
    body = {"key": "p", "call": PUSH["call"], "facts": PUSH["facts"]}
    asked = client.post(f"/v1/runs/{run_id}/actions", json=body)
    assert asked.json()["verdict"] == "allow", asked.text
    first.switch.kill(pair.me, "all", "a drill")
    asked = client.post(f"/v1/runs/{run_id}/actions", json={**body, "key": "q"})
    assert asked.json()["verdict"] == "deny", asked.text


def test_due_handoffs_are_swept_once(pair: Pair) -> None:
    ids = [pair.stop(0, f"git push origin b{n}")["handoff_id"] for n in range(4)]
    now = pair.engines[0].kernel.clock.now()
    later = now + timedelta(days=2)

    class Later:
        def now(self) -> Any:
            return later

    for engine in pair.engines:  # their own sweeps run on beside these
        engine.kernel.clock = Later()
    sweeps = [threading.Thread(target=e.sweep) for e in (*pair.engines, *pair.engines)]
    for thread in sweeps:
        thread.start()
    for thread in sweeps:
        thread.join()
    store = pair.engines[0].kernel.store
    for handoff_id in ids:
        types = [e.type for e in store.events(stream=f"handoff/{handoff_id}")]
        ended = [t for t in types if t in ("handoff.expired", "level.timed_out")]
        assert ended.count("handoff.expired") == 1, types
    check_log(store)


def test_heads_signed_by_both_are_of_one_log(pair: Pair) -> None:
    for n in range(6):
        pair.engines[n % 2].hooks.pause(pair.me, 5, "again")
        pair.engines[n % 2].hooks.resume(pair.me)
        pair.engines[(n + 1) % 2].heads.sign()
        pair.engines[n % 2].heads.sign()
    first, second = (e.heads.sign().note for e in pair.engines)
    sizes = [parse_checkpoint(parse_note(note).text).size for note in (first, second)]
    assert first == second or sizes[0] != sizes[1]
    store = pair.engines[0].kernel.store
    for head in store.heads():
        said = parse_checkpoint(parse_note(head.note).text)
        assert (said.size, said.origin) == (head.size, pair.engines[1].audit.verifier.split("+")[0])
    check_log(store)


# -- what servers must share, and what they must not


def test_each_data_folder_has_tokens_of_its_own(pg_database: str, tmp_path: Path) -> None:
    """A second server must not make the first one's runner a stranger; a removed file still rotates."""
    a, b = tmp_path / "a", tmp_path / "b"
    with ExitStack() as stack:
        first = open_engine(pg_database, a)
        stack.callback(first.close)
        shutil.copytree(a / "keys", b / "keys")
        second = open_engine(pg_database, b)
        stack.callback(second.close)
        runner = PrincipalKind.RUNNER
        one, two = (e.access.ensure_file_token(e.home, runner) for e in (first, second))
        assert one != two
        for token in (one, two):
            for engine in (first, second):
                assert engine.access.principal(token).kind is runner
        (a / "runner.token").unlink()
        fresh = first.access.ensure_file_token(a, runner)
        assert second.access.principal(fresh).kind is runner
        assert second.access.principal(two).kind is runner
        with pytest.raises(NotPermitted):
            second.access.principal(one)


def test_a_token_of_an_older_version_is_kept(tmp_path: Path) -> None:
    from handfast.engine.ids import hash_secret
    from handfast.storage.api import Credential, WriteSet

    engine = open_engine(home=tmp_path)
    runner, secret = PrincipalKind.RUNNER, "x" * 43
    (tmp_path / "runner.token").write_text(f"hfr_{secret}\n")
    old = Credential("runner", "file", "runner", hash_secret(secret))
    engine.kernel.store.commit(WriteSet(credentials=(old,)))
    assert engine.access.principal(f"hfr_{secret}").kind is runner
    assert engine.access.ensure_file_token(tmp_path, runner) == f"hfr_{secret}"
    (tmp_path / "runner.token").unlink()
    fresh = engine.access.ensure_file_token(tmp_path, runner)
    assert engine.access.principal(fresh).kind is runner
    with pytest.raises(NotPermitted):
        engine.access.principal(f"hfr_{secret}")
    engine.close()


def test_every_server_s_set_up_link_works_and_one_person_is_first(
    pg_database: str, tmp_path: Path
) -> None:
    first = open_engine(pg_database, tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "keys", tmp_path / "b" / "keys")
    second = open_engine(pg_database, tmp_path / "b")
    links = [e.people.invite(server_id(e.home)) for e in (first, second)]
    for link in links:
        assert first.people.check_invitation(link).kind == "setup"
    done: list[str] = []
    refused: list[Exception] = []
    at_once = threading.Barrier(2)

    def set_up(engine: Engine, link: str, login: str) -> None:
        new = NewPerson(login, login, PASSWORD, PIN)
        at_once.wait()
        try:
            done.append(str(engine.people.set_up(link, new)["person_id"]))
        except NotPermitted as e:
            refused.append(e)

    both = [
        threading.Thread(target=set_up, args=(e, link, login))
        for e, link, login in zip((first, second), links, ("ana", "ben"), strict=True)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert (len(done), len(refused)) == (1, 1), (done, refused)
    with pytest.raises(NotPermitted):
        second.people.set_up(links[0], NewPerson("eve", "eve", PASSWORD, PIN))
    first.close()
    second.close()


@pytest.mark.parametrize("which", ["signing.key", "data.key"])
def test_a_server_with_another_key_does_not_start(
    store_url: str, tmp_path: Path, which: str
) -> None:
    first = open_engine(store_url, tmp_path / "a")
    first.people.set_up(first.people.invite(), NewPerson("Ana", "ana", PASSWORD, PIN))
    first.close()
    open_engine(home=tmp_path / "c").close()
    shutil.copytree(tmp_path / "a" / "keys", tmp_path / "b" / "keys")
    shutil.copy(tmp_path / "c" / "keys" / which, tmp_path / "b" / "keys" / which)
    said = f"the {which.partition('.')[0]} key is not the one"
    for _ in range(2):
        with pytest.raises(IntegrityError, match=said):
            open_engine(store_url, tmp_path / "b")
    open_engine(store_url, tmp_path / "a").close()


def test_two_processes_as_an_operator_starts_them(pg_database: str, tmp_path: Path) -> None:
    a = Command(tmp_path / "a", tmp_path, {"HANDFAST_DATABASE_URL": pg_database})
    b = Command(tmp_path / "b", tmp_path, {"HANDFAST_DATABASE_URL": pg_database})
    with serving(a, "--no-runner") as one:
        without = b("serve", "--no-runner", "--port", "0", "--json")
        assert (without.code, "keys" in without.problem["detail"]) == (6, True), without
        shutil.copytree(a.home / "keys", b.home / "keys", dirs_exist_ok=True)
        with serving(b, "--no-runner") as two:
            assert one["setup_url"].rpartition("/")[2] != two["setup_url"].rpartition("/")[2]
            added = a("agent", "add", "claude", "--json")
            assert added.code == 0, added
            listed = b("agent", "list", "--json")
            assert "claude" in listed.out, listed
    assert json.loads(a("db", "check", "--json").out)["ok"] is True
