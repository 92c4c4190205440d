"""Contained agents: what they cannot do, what they still can, and what is said about them. Real bubblewrap."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from handfast.core.domain.containment import Contained, Containment
from tests.contained_bench import SECRETS, ContainedBench, needs_bwrap
from tests.repositories import git, new_repository, state_of
from tests.run_bench import RunBench, plain_environment

SECRET_VARIABLE = {"AWS_SECRET_ACCESS_KEY": "x", "SSH_AUTH_SOCK": "/run/agent", "GH_TOKEN": "y"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ContainedBench]:
    needs_bwrap()
    with ContainedBench.made(tmp_path, **SECRET_VARIABLE).open() as bench:
        yield bench


class Words(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"here {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def neighbour() -> Iterator[int]:
    """The port of a real server on loopback, outside."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Words) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield int(http.server_address[1])
        http.shutdown()


def test_it_writes_in_its_worktree_alone(bench: ContainedBench) -> None:
    token = bench.home / "runner.token"
    places = {
        "repository": bench.repository / "README",
        "home": bench.person_home / "notes.txt",
        "data": token,
        "system": Path("/etc/hosts"),
        "program": Path("/usr/bin/env"),
        "beside": bench.root / "new",
    }
    before = {name: path.read_bytes() if path.exists() else None for name, path in places.items()}
    found = bench.tries(
        "\n".join(f"tried({name!r}, lambda: put({str(path)!r}))" for name, path in places.items())
        + f"\ntried('ssh', lambda: put({str(bench.person_home / '.ssh' / 'x')!r}))"
        + "\ntried('own', lambda: put('new.txt'))"
    )
    assert found["own"] == "written"
    assert found["home"] == found["system"] == found["program"] == "OSError"
    after = {name: path.read_bytes() if path.exists() else None for name, path in places.items()}
    assert after == before
    assert not (bench.person_home / ".ssh" / "x").exists()


def test_it_reads_no_secret(bench: ContainedBench) -> None:
    secrets = [
        *(bench.person_home / name for name in SECRETS),
        *(bench.home / name for name in ("runner.token", "keys")),
        bench.root / "handfast.db",
        Path("/etc/shadow"),
    ]
    for path in secrets:
        assert path.exists()
    found = bench.tries(
        f"for p in {[str(p) for p in secrets]!r}:\n"
        "    tried(p, lambda: os.listdir(p) and 'listed' if os.path.isdir(p) else open(p).read())\n"
        f"tried('notes', lambda: open({str(bench.person_home / 'notes.txt')!r}).read())\n"
        f"tried('tool', lambda: open({str(bench.person_home / '.cargo/bin/tool')!r}).read())\n"
        f"tried('data', lambda: os.listdir({str(bench.home)!r}))\n"
        "tried('run', lambda: [n for n in os.listdir('/run') if n != 'handfast'])\n"
    )
    assert found["notes"] == found["tool"] == "plain"
    assert found["data"] == ["worktrees"]
    assert found["run"] == []
    denied = {"FileNotFoundError", "PermissionError", "OSError"}
    assert {name: found[name] for name in map(str, secrets) if found[name] not in denied} == {}


def test_it_reaches_the_hook_and_the_hosts_of_its_list_and_nothing_else(
    bench: ContainedBench, neighbour: int
) -> None:
    server = int(bench.server.url.rpartition(":")[2])
    with ThreadingHTTPServer(("127.0.0.1", 0), Words) as other:
        not_listed = int(other.server_address[1])
        script = f"""
from urllib.parse import urlsplit
hook = urlsplit(os.environ['HANDFAST_HOOK_URL'])
tried('hook', lambda: urllib.request.urlopen(f'http://127.0.0.1:{{hook.port}}/healthz').status)
tried('server', lambda: reach('127.0.0.1', {server}))
tried('not listed', lambda: reach('127.0.0.1', {not_listed}))
tried('far', lambda: reach('192.0.2.1', 443))
tried('listed', lambda: urllib.request.urlopen('http://127.0.0.1:{neighbour}/a').read().decode())
proxy = urlsplit(os.environ['https_proxy'])
def through(target, method='CONNECT'):
    with socket.create_connection((proxy.hostname, proxy.port), 5) as s:
        s.sendall(f'{{method}} {{target}} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'.encode())
        answer = s.recv(1000).decode()
        if method == 'CONNECT' and ' 200 ' in answer:
            s.sendall(b'GET /tunnel HTTP/1.0\\r\\n\\r\\n')
        while more := s.recv(1000).decode(): answer += more
        return answer
tried('tunnel', lambda: through('127.0.0.1:{neighbour}'))
tried('whole', lambda: through('http://127.0.0.1:{neighbour}/whole?q=1', 'GET'))
tried('tunnel to the server', lambda: through('127.0.0.1:{server}'))
tried('tunnel far', lambda: through('example.org:443'))
tried('no sense', lambda: through('*', 'OPTIONS'))
"""
        found = bench.tries(script, hosts=(f"127.0.0.1:{neighbour}",))
    assert found["hook"] == 200
    refused = {found[name] for name in ("server", "not listed", "far")}
    assert refused <= {"ConnectionRefusedError", "OSError"}
    assert found["listed"] == "here /a"
    assert found["tunnel"].endswith("here /tunnel")
    assert found["whole"].endswith("here /whole?q=1")
    for name in ("tunnel to the server", "tunnel far", "no sense"):
        assert found[name].startswith("HTTP/1.1 403 "), name
    assert "example.org:443 is not on the list" in found["tunnel far"]


def test_the_servers_own_address_cannot_be_put_on_the_list(bench: ContainedBench) -> None:
    port = bench.server.url.rpartition(":")[2]
    run = bench.ended(bench.start("true", hosts=(f"localhost:{port}",)))
    assert run["outcome"] == "never_started"
    assert f"`localhost:{port}` is the server's own address" in run["exit_reason"]


def test_it_sees_and_signals_no_process_outside(bench: ContainedBench) -> None:
    pid = os.getpid()
    found = bench.tries(
        f"""
import ctypes
tried('signal', lambda: os.kill({pid}, 0) or 'sent')
tried('trace', lambda: ctypes.CDLL(None).ptrace(16, {pid}, 0, 0))
tried('memory', lambda: open('/proc/{pid}/environ').read())
tried('all', lambda: os.kill(-1, 0) or 'sent')
tried('seen', lambda: len([n for n in os.listdir('/proc') if n.isdigit()]))
tried('become', lambda: os.setuid(12345))
tried('mount', lambda: sh('mount -t tmpfs none /mnt || mount -o remount,rw /'))
"""
    )
    assert found["signal"] == "ProcessLookupError"
    assert found["trace"] == -1
    assert found["memory"] == "FileNotFoundError"
    assert found["seen"] <= 4
    assert found["become"] in ("PermissionError", "OSError")
    assert found["mount"] != 0


def test_its_environment_is_scrubbed(bench: ContainedBench) -> None:
    found = bench.tries("tried('names', lambda: sorted(os.environ))")
    names = set(found["names"])
    assert not names & {*SECRET_VARIABLE, "HANDFAST_URL", "XDG_RUNTIME_DIR", "HANDFAST_HOME"}
    assert {"HANDFAST_HOOK_URL", "HANDFAST_TOKEN", "PATH", "HOME", "https_proxy"} <= names


def test_it_commits_on_its_branch_and_changes_nothing_else_of_the_repository(
    bench: ContainedBench,
) -> None:
    git(bench.repository, "branch", "other")
    before = state_of(bench.repository)
    config = (bench.repository / ".git" / "config").read_bytes()
    found = bench.tries(
        """
common = subprocess.check_output(['git', 'rev-parse', '--path-format=absolute', '--git-common-dir'], text=True).strip()
admin = subprocess.check_output(['git', 'rev-parse', '--absolute-git-dir'], text=True).strip()
tried('objects', lambda: sh(f'chmod -R +w {common}/objects; rm -rf {common}/objects/??'))
tried('commit', lambda: sh('echo a > a.txt && git add a.txt && git commit -qm one'))
tried('amend', lambda: sh('git commit -q --amend -m two && echo b > staged.txt && git add staged.txt'))
tried('config', lambda: sh('git config user.name evil'))
tried('worktree config', lambda: put(admin + '/config.worktree'))
tried('common', lambda: put(admin + '/commondir'))
tried('pointer', lambda: sh('rm -f .git || mv .git x'))
tried('hook', lambda: put(common + '/hooks/pre-commit'))
tried('main', lambda: sh('git update-ref refs/heads/main HEAD'))
tried('delete', lambda: sh('git branch -D other'))
tried('branch', lambda: sh('git branch mine'))
tried('tag', lambda: sh('git tag mine'))
tried('packed', lambda: put(common + '/packed-refs'))
tried('shared', lambda: sh('rm -rf /run/handfast/objects/??'))
"""
    )
    assert (found["commit"], found["amend"]) == (0, 0)
    for name in ("config", "pointer", "main", "delete", "branch", "tag", "shared"):
        assert found[name] != 0, name
    for name in ("worktree config", "common", "hook", "packed"):
        assert found[name] == "OSError", name
    after = state_of(bench.repository)
    assert after["files"] == before["files"]
    assert (bench.repository / ".git" / "config").read_bytes() == config
    git(bench.repository, "fsck", "--full", "main", "other")


WORK = "echo new > new.txt && git add new.txt && git commit -q -m 'add new'"


def test_a_contained_run_is_reviewed_changed_and_merged(bench: ContainedBench) -> None:
    agent = (
        'if [ -n "$HANDFAST_RESUME" ]; then cat "$HANDFAST_FEEDBACK_FILE" > said.txt;'
        f" git log --format=%s -1 > seen.txt; else {WORK}; echo staged > s.txt; git add s.txt; fi"
    )
    run_id = bench.start("bash", "-c", agent)
    first = bench.waiting(run_id, "review")
    told = bench.run(run_id)["containment"]
    assert told == "contained: worktree writable, rest read-only, network: 127.0.0.1 hook"
    assert first["package"]["containment"] == f"C{told[1:]}."
    assert first["package"]["review"]["files"] == ["new.txt", "s.txt"]
    assert [c["subject"] for c in first["package"]["review"]["commits"]][-1] == "add new"
    assert not any("still running" in line for line in first["package"]["not_seen"])
    bench.decide(first, "request_changes", reason="say it better")
    second = bench.until(
        "another review",
        lambda: (h := bench.waiting(run_id, "review"))["handoff_id"] != first["handoff_id"] and h,
    )
    bench.decide(second, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"
    assert (bench.repository / "said.txt").read_text() == "say it better"
    assert git(bench.repository, "log", "--format=%s", "main").split("\n")[1].startswith("make it")
    git(bench.repository, "fsck", "--full", "--strict")
    assert not list((bench.home / "worktrees").iterdir())


def test_a_rejected_contained_run_leaves_the_repository_as_it_was(bench: ContainedBench) -> None:
    before = state_of(bench.repository)
    run_id = bench.start("bash", "-c", f"{WORK}; rm README")
    bench.decide(bench.waiting(run_id, "review"), "reject")
    assert bench.ended(run_id)["outcome"] == "rejected"
    assert state_of(bench.repository) == before


def test_links_it_leaves_where_git_writes_are_not_followed(bench: ContainedBench) -> None:
    victim = bench.root / "victim"
    victim.write_text("mine")
    (bench.root / "elsewhere").mkdir()
    plant = (
        f"{WORK}; d=$(git rev-parse --absolute-git-dir); o=$(git rev-parse --git-path objects);"
        f" cp $d/index $d/i; ln -sf {victim} $d/index; ln -s {victim} $d/ORIG_HEAD;"
        f" ln -s {victim} $d/COMMIT_EDITMSG; mkfifo $d/pipe;"
        f" echo {bench.root}/elsewhere > $o/info/alternates; ln -s {bench.root}/elsewhere $o/ff"
    )
    run_id = bench.start("bash", "-c", plant)
    review = bench.waiting(run_id, "review")
    bench.decide(review, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"
    assert victim.read_text() == "mine"
    assert list((bench.root / "elsewhere").iterdir()) == []


def test_an_object_that_is_not_what_its_name_says_is_refused(bench: ContainedBench) -> None:
    tip = git(bench.repository, "rev-parse", "main")
    forged = """
import hashlib, os, subprocess, zlib
git = lambda *a, **k: subprocess.check_output(['git', *a], text=True, **k).strip()
parent, tree = git('rev-parse', 'HEAD'), git('rev-parse', 'HEAD^{tree}')
text = f'tree {tree}\\nparent {parent}\\nauthor a <a> 0 +0000\\ncommitter a <a> 0 +0000\\n\\nforged\\n'.encode()
data = b'commit %d\\0' % len(text) + text
claimed = 'ab' + hashlib.sha1(data).hexdigest()[2:-1] + '0'
objects = git('rev-parse', '--git-path', 'objects')
os.makedirs(f'{objects}/ab', exist_ok=True)
with open(f'{objects}/ab/{claimed[2:]}', 'wb') as file: file.write(zlib.compress(data))
common = git('rev-parse', '--git-common-dir')
ref = git('symbolic-ref', 'HEAD')
with open(f'{common}/{ref}', 'w') as file: file.write(claimed + '\\n')
"""
    run = bench.ended(bench.start("python3", "-c", forged))
    assert run["outcome"] == "failed"
    assert git(bench.repository, "rev-parse", "main") == tip
    git(bench.repository, "fsck", "--full", "--strict")


def test_a_branch_another_runner_moved_meanwhile_is_not_moved_back(bench: ContainedBench) -> None:
    plan = f"{WORK}; chmod 000 $(git rev-parse --git-path objects)/??; echo > up.txt; sleep 300"
    run_id = bench.start("bash", "-c", plan)
    bench.until("the agent", (bench.worktree(run_id) / "up.txt").exists)
    bench.until("its record", lambda: bench.run(run_id)["status"] == "running")
    branch = str(bench.run(run_id)["branch"])
    assert git(bench.repository, "rev-parse", branch) == git(bench.repository, "rev-parse", "main")
    tree = git(bench.repository, "rev-parse", "main^{tree}")
    moved = git(bench.repository, "commit-tree", tree, "-p", "main", "-m", "somebody else")
    git(bench.repository, "update-ref", f"refs/heads/{branch}", moved)
    bench.supervisor.stop()
    assert git(bench.repository, "rev-parse", branch) == moved
    kept = git(
        bench.repository, "for-each-ref", "--format=%(subject)", "refs/handfast/kept-commits"
    )
    assert kept == "add new"


def test_the_agent_has_its_grace_before_the_sandbox_goes(bench: ContainedBench) -> None:
    patient = "trap 'sleep 0.3; echo bye > bye.txt; exit 0' TERM; echo > up.txt; while :; do sleep 0.05; done"
    run_id = bench.start("bash", "-c", patient)
    bench.until("the agent", (bench.worktree(run_id) / "up.txt").exists)
    bench.until("its record", lambda: bench.run(run_id)["status"] == "running")
    bench.supervisor.stop()
    assert (bench.worktree(run_id) / "bye.txt").read_text() == "bye\n"


def test_a_program_that_is_missing_never_started(bench: ContainedBench) -> None:
    run = bench.ended(bench.start("no-such-agent-here"))
    assert run["outcome"] == "never_started"
    assert "`no-such-agent-here` could not be run" in run["exit_reason"]
    assert "No such file" in run["exit_reason"]


# -- where it cannot be done


def _without(tmp_path: Path, *, broken: bool) -> RunBench:
    """PATH with git and a shell, and no bubblewrap or one that fails."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "bash", "true"):
        for place in os.environ["PATH"].split(":"):
            if os.access(f"{place}/{name}", os.X_OK) and not (folder / name).exists():
                (folder / name).symlink_to(f"{place}/{name}")
    if broken:
        (folder / "bwrap").write_text(
            "#!/bin/bash\necho 'setting up uid map: denied' >&2; exit 1\n"
        )
        (folder / "bwrap").chmod(0o755)
    environment = {**plain_environment(), "PATH": str(folder)}
    return RunBench(tmp_path, new_repository(tmp_path / "repo"), environment)


@pytest.mark.parametrize(
    ("broken", "why"),
    [(False, "`bwrap`) is not on PATH"), (True, "setting up uid map: denied (user namespaces")],
)
def test_without_bubblewrap_the_run_says_why_or_does_not_start(
    tmp_path: Path, broken: bool, why: str
) -> None:
    with _without(tmp_path, broken=broken).serving() as bench:
        run_id = bench.order("bash", "-c", "echo a > a.txt", contain=Containment())
        review = bench.waiting(run_id, "review")
        told = bench.run(run_id)["containment"]
        assert told.startswith("not contained: ")
        assert why in told
        assert why in review["package"]["containment"]
        assert "Same user, no sandbox" in review["package"]["containment"]
        required = bench.order(
            "bash", "-c", "echo b > b.txt", contain=Containment(Contained.REQUIRE)
        )
        run = bench.ended(required)
        assert run["outcome"] == "never_started"
        assert "was to be contained, and that cannot be done here" in run["exit_reason"]
        assert why in run["exit_reason"]


def test_a_run_with_containment_switched_off_says_so(tmp_path: Path) -> None:
    environment = plain_environment()
    with RunBench(tmp_path, new_repository(tmp_path / "repo"), environment).serving() as bench:
        run_id = bench.order("bash", "-c", "echo a > a.txt", contain=Containment(Contained.OFF))
        bench.waiting(run_id, "review")
        assert bench.run(run_id)["containment"] == "not contained: switched off for this run"
