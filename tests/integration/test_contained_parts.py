"""Parts of a sandbox by themselves: its list of hosts, its ways out, what is seen, an ordinary user's sandbox."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.core.domain.containment import allowed_host, split_host
from handfast.core.domain.errors import UsageError
from handfast.runner.containment import places
from handfast.runner.containment.mounts import Mount, Seen, arguments
from handfast.runner.containment.probe import probe
from handfast.runner.containment.relay import Proxy, Relay
from handfast.runner.supervisor import claude, claude_home
from tests import needs
from tests.contained_bench import needs_bwrap

PACKAGE = Path(__file__).parents[2] / "src" / "handfast"
NOBODY = 65534


@pytest.mark.parametrize(
    ("given", "host"),
    [("API.example.org:443", "api.example.org:443"), ("127.0.0.1:80", "127.0.0.1:80"), ("[::1]:0080", "[::1]:80")],
)  # fmt: skip
def test_a_host_has_a_name_and_a_port(given: str, host: str) -> None:
    assert allowed_host(given) == host
    assert allowed_host(host) == host
    assert split_host("[::1]:80") == ("::1", 80)


@pytest.mark.parametrize(
    "given",
    ["example.org", "*.example.org:443", "example.org:0", "example.org:65536", "a b:1", "https://x:1", ":1", ""],
)  # fmt: skip
def test_what_is_no_host_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="is no host with a port"):
        allowed_host(given)


def test_the_model_is_asked_where_the_environment_says() -> None:
    assert claude.api_hosts({}) == ("api.anthropic.com:443",)
    assert claude.api_hosts({"ANTHROPIC_BASE_URL": "http://127.0.0.1:99/v1"}) == ("127.0.0.1:99",)
    named = {
        "ANTHROPIC_BASE_URL": "https://a.example",
        "ANTHROPIC_VERTEX_BASE_URL": "https://b:8443",
    }
    assert claude.api_hosts(named) == ("a.example:443", "b:8443")


# -- ways out


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield door


def _asked(door: socket.socket, request: str) -> str:
    with socket.create_connection(door.getsockname(), 5) as inner:
        inner.sendall(request.encode())
        inner.settimeout(10)
        answer = b""
        while more := inner.recv(1000):
            answer += more
    return answer.decode()


def test_a_name_on_the_list_that_leads_to_this_machine_is_refused(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers for the name could point it at our server."""
    port = listening.getsockname()[1]
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda name, *a, **k: real("127.0.0.1" if name == "evil.example" else name, *a, **k),
    )
    door = socket.create_server(("127.0.0.1", 0))
    ways = Relay([(door, Proxy(frozenset({f"evil.example:{port}", f"localhost:{port}"})))])
    try:
        answer = _asked(door, f"CONNECT evil.example:{port} HTTP/1.1\r\n\r\n")
        assert answer.startswith("HTTP/1.1 502 ")
        listening.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listening.accept()
        threading.Thread(
            target=lambda: _asked(door, f"CONNECT localhost:{port} HTTP/1.1\r\n\r\n"), daemon=True
        ).start()
        listening.settimeout(10)
        listening.accept()[0].close()
    finally:
        ways.close()


def test_a_proxy_of_this_machine_is_asked_in_turn(listening: socket.socket) -> None:
    def upstream() -> None:
        outer, _ = listening.accept()
        with outer:
            heard.append(outer.recv(1000).decode())
            outer.sendall(b"HTTP/1.1 200 OK\r\n\r\nthe far end")

    heard: list[str] = []
    thread = threading.Thread(target=upstream, daemon=True)
    thread.start()
    door = socket.create_server(("127.0.0.1", 0))
    own = f"http://ann:p%40ss@127.0.0.1:{listening.getsockname()[1]}"
    ways = Relay([(door, Proxy(frozenset({"far.example:443"}), own, "near.example"))])
    try:
        answer = _asked(door, "CONNECT far.example:443 HTTP/1.1\r\n\r\n")
        thread.join(10)
    finally:
        ways.close()
    assert answer.endswith("established\r\n\r\nthe far end")
    assert heard[0].startswith("CONNECT far.example:443 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic YW5uOnBAc3M=\r\n" in heard[0]


def test_a_closed_relay_lets_nothing_through(listening: socket.socket) -> None:
    door = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    ways = Relay([(door, Proxy(frozenset({f"127.0.0.1:{port}"})))])
    with socket.create_connection(door.getsockname(), 5) as inner:
        inner.settimeout(10)
        inner.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        outer, _ = listening.accept()
        assert b" 200 " in inner.recv(1000)
        address = door.getsockname()
        ways.close()
        assert inner.recv(1000) == b""
        outer.settimeout(10)
        assert outer.recv(1000) == b""
        outer.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(address, 5)


# -- what is seen


def test_of_a_home_folder_what_begins_with_a_dot_is_not_seen_but_toolchains(tmp_path: Path) -> None:
    for name in (".ssh/id", ".secret/x", ".cargo/credentials", ".tools/bin/x", "work/x", "snap/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}/.tools/bin:{tmp_path}:{tmp_path}/.ssh",
    }
    made = {m.path: m.seen for m in places.mounts(environment, [], [tmp_path / "work" / "x"])}
    seen = {str(p.relative_to(tmp_path)): s for p, s in made.items() if p.is_relative_to(tmp_path)}
    assert seen == {
        ".": Seen.EMPTY,
        "work": Seen.READ,
        "work/x": Seen.HIDDEN,
        ".cargo": Seen.READ,
        ".cargo/credentials": Seen.HIDDEN,
        ".tools/bin": Seen.READ,
        ".ssh": Seen.HIDDEN,
    }


def test_what_lies_deeper_is_mounted_later(tmp_path: Path) -> None:
    inner, outer = tmp_path / "a" / "b", tmp_path / "a"
    inner.mkdir(parents=True)
    words = arguments(
        [Mount(Seen.WRITE, inner), Mount(Seen.HIDDEN, outer), Mount(Seen.READ, inner)]
    )
    assert words == [
        *("--tmpfs", str(outer), "--ro-bind", str(inner), str(inner)),
        *("--remount-ro", str(outer)),
    ]


def test_a_link_in_place_of_a_session_is_neither_read_nor_written_through(tmp_path: Path) -> None:
    session, victim = "4876350f-a4ca-55a9-a06d-5f1fa1dc6a38", tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "run" / claude_home.FOLDER / "projects" / "-w"
    folder.mkdir(parents=True)
    (folder / f"{session}.jsonl").symlink_to(victim)
    assert claude_home.own_session(tmp_path / "run", session) is None
    placed = claude_home.place_session(tmp_path / "run", "-w", session, b"new")
    assert (victim.read_text(), placed.read_bytes(), placed.is_symlink()) == ("mine", b"new", False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(folder)
    folder.symlink_to(elsewhere)
    claude_home.place_session(tmp_path / "run", "-w", session, b"new")
    assert list(elsewhere.iterdir()) == []


# -- an ordinary user

_AS_USER = """
import json, os, subprocess, sys
from pathlib import Path
from handfast.runner import processes, workspace
from handfast.runner.containment import objects
from handfast.runner.containment.probe import probe
from handfast.runner.containment.sandbox import Sandbox, Wanted
root = Path(sys.argv[1])
repository = root / "repo"
git = lambda *words: subprocess.check_output(["git", "-C", str(repository), *words], text=True).strip()
subprocess.check_call(["git", "init", "-qb", "main", str(repository)])
git("commit", "-q", "--allow-empty", "-m", "first")
made = workspace.create(repository, root / "worktrees", run_id="run_1", task_id="task_1", base="main")
agent = ("id -u; echo a > a.txt; git add a.txt; git commit -qm one; touch ~/x; touch /etc/x || echo denied;"
         " git update-ref refs/heads/main HEAD || echo denied")
environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
environment |= {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
wanted = Wanted(["sh", "-c", agent], made.path, environment, "http://127.0.0.1:9999/", "http://127.0.0.1:9998/",
                mounts=objects.prepare(made, root / "run"), hidden=(root / "data",))
sandbox = Sandbox(wanted, probe(os.environ["PATH"]))
launch = processes.Launch(sandbox.command, made.path, sandbox.environment, "mark", wrapped=True)
process = processes.start(launch, root / "start")
failure = sandbox.connect(process)
ended = process.wait(60)
sandbox.close()
objects.collect(made, root / "run")
print(json.dumps({"failure": str(failure), "code": ended and ended.code, "out": ended.stdout.path.read_text(),
                  "err": ended.stderr.path.read_text(), "uid": os.getuid(), "left": ended.left_behind,
                  "subject": git("log", "-1", "--format=%s", made.branch), "main": git("log", "-1", "--format=%s")}))
"""


def test_an_ordinary_user_can_contain_an_agent() -> None:
    """As nobody where the tests run as root, with the system's Python: root's own cannot be read."""
    needs_bwrap()
    python = "/usr/bin/python3"
    root = os.getuid() == 0
    version = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    if not Path(python).exists() or subprocess.run(version, check=False).returncode:
        needs.missing("bwrap", "another user needs a Python 3.11 in /usr/bin")
    folder = Path(tempfile.mkdtemp(prefix="handfast-user-"))
    try:
        shutil.copytree(PACKAGE, folder / "src" / "handfast")
        for name in ("home", "data"):
            (folder / name).mkdir()
        for path in (folder, *folder.rglob("*")):
            if root:
                os.chown(path, NOBODY, NOBODY)
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "PYTHONPATH": str(folder / "src"),
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "a",
            "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "a@b",
        }
        ran = subprocess.run(
            [python, "-c", _AS_USER, str(folder)],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            user=NOBODY if root else None,
            group=NOBODY if root else None,
            extra_groups=[] if root else None,
        )
        assert ran.returncode == 0, ran.stderr
        found = json.loads(ran.stdout)
        assert (found["failure"], found["code"], found["left"]) == ("None", 0, 0), found
        assert found["out"].split() == [str(found["uid"]), "denied", "denied"]
        assert (found["subject"], found["main"]) == ("one", "first")
        assert not (folder / "home" / "x").exists()
        assert not root or found["uid"] == NOBODY
    finally:
        shutil.rmtree(folder)


def test_the_probe_says_why_not(tmp_path: Path) -> None:
    assert "is not on PATH" in probe(str(tmp_path)).reason
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    reason = probe(str(tmp_path)).reason
    assert "No permissions to create new namespace" in reason
    assert "user namespaces are switched off" in reason
