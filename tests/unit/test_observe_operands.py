"""A changed script, tree or commit behind the same command changes the digest of the call."""

from pathlib import Path

import pytest

from handfast.core.domain.action import MISSING, Call
from handfast.observe.claude_code import read_call
from handfast.observe.operands import rehash
from handfast.observe.scope import Scope
from tests.unit.observed_ground import build, git


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    return build(tmp_path)


def call(command: str, scope: Scope) -> Call:
    return read_call("Bash", {"command": command}, scope)[0]


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("bash run.sh", "run.sh"),
        ("./run.sh", "run.sh"),
        ("source run.sh", "run.sh"),
        ("python src/app.py --x", "src/app.py"),
        ("cd src && python app.py", "src/app.py"),
        ("sudo python manage.py migrate", "manage.py"),
        ("make test", "Makefile"),
        ("npm run build", "package.json"),
        ("psql -f ask.sql", "ask.sql"),
        ("npm publish", "src/app.py"),
        ("kubectl apply -f k.yaml", "scratch.py"),
    ],
)
def test_a_changed_file_changes_the_digest(command: str, file: str, scope: Scope) -> None:
    approved = call(command, scope)
    assert rehash(approved, scope) == approved
    path = Path(scope.worktree) / file
    path.write_text(path.read_text() + "\n# changed\n")
    assert rehash(approved, scope).digest != approved.digest


def test_an_unrelated_file_does_not(scope: Scope) -> None:
    approved = call("bash run.sh", scope)
    (Path(scope.worktree) / "scratch.py").write_text("other\n")
    assert rehash(approved, scope).digest == approved.digest


def test_a_push_is_bound_to_its_commits(scope: Scope) -> None:
    worktree = Path(scope.worktree)
    approved = call("git push origin topic", scope)
    git(worktree, "commit", "-q", "--allow-empty", "-m", "on main")
    assert rehash(approved, scope).digest == approved.digest
    git(worktree, "branch", "-f", "topic", "HEAD")
    assert rehash(approved, scope).digest != approved.digest


def test_a_push_of_everything_is_bound_to_every_ref(scope: Scope) -> None:
    approved = call("git push --all", scope)
    git(Path(scope.worktree), "branch", "another")
    assert rehash(approved, scope).digest != approved.digest


def test_a_missing_script_is_bound_as_missing(scope: Scope) -> None:
    approved = call("bash nothing.sh", scope)
    assert [(each.path, each.digest) for each in approved.operands] == [("nothing.sh", MISSING)]
    (Path(scope.worktree) / "nothing.sh").write_text("git push -f\n")
    assert rehash(approved, scope).digest != approved.digest


def test_the_order_of_operands_does_not_matter(scope: Scope) -> None:
    approved = call("bash run.sh; python src/app.py", scope)
    turned = Call(approved.tool, approved.arguments, approved.cwd, approved.operands[::-1])
    assert len(approved.operands) == 2
    assert turned.digest == approved.digest


def test_a_script_the_command_itself_writes_is_bound_by_its_text(scope: Scope) -> None:
    approved = call("cat > run.sh <<'EOF'\npytest\nEOF\nbash run.sh", scope)
    assert approved.operands == ()
