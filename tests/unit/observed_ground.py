"""A small worktree for the observer's tests: tracked, changed, untracked and secret files."""

import subprocess
from pathlib import Path

from handfast.observe.scope import Scope

FILES = {
    "README.md": "readme\n",
    "src/app.py": "print('app')\n",
    "src/billing/a.py": "a = 1\n",
    "src/billing/b.py": "b = 1\n",
    "tests/test_app.py": "def test_app(): pass\n",
    "manage.py": "print('manage')\n",
    "run.sh": "#!/bin/sh\npytest -q\n",
    "deploy.sh": "#!/bin/sh\necho going\n",
    "ship.sh": "#!/bin/bash\ngit push --force origin main\n",
    "loop.sh": "#!/bin/bash\nbash loop.sh\n",
    "unclear.sh": "#!/bin/bash\nrm -rf $1\n",
    "drop.sql": "DROP TABLE invoices;\n",
    "ask.sql": "SELECT 1;\n",
    "Makefile": (
        "test:\n\tpytest -q\n\nupload: test\n\t@twine upload dist/*\n\nclean:\n\trm -rf $(BUILD)\n\n"
        "wipe:\n\trm -rf src\n"
    ),
    "package.json": '{"scripts": {"test": "jest", "ship": "npm publish", "build": "tsc -p ."}}\n',
}


def git(worktree: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=worktree, check=True, capture_output=True, text=True
    )
    return done.stdout


def build(root: Path) -> Scope:
    """A scope whose worktree has one commit, one changed tracked file and some untracked ones."""
    worktree, home, scratch = root / "wt", root / "home", root / "scratch"
    for folder in (worktree, home / ".ssh", scratch, root / "other", root / "data"):
        folder.mkdir(parents=True)
    git(worktree, "init", "-q", "-b", "main")
    for name, content in FILES.items():
        file = worktree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    git(worktree, "add", "-A")
    git(worktree, "commit", "-q", "-m", "first")
    git(worktree, "branch", "topic")
    (worktree / "README.md").write_text("changed\n")
    (worktree / "build").mkdir()
    (worktree / "build" / "out.o").write_text("o\n")
    (worktree / "scratch.py").write_text("s\n")
    (worktree / ".env").write_text("TOKEN=x\n")
    (worktree / "out").symlink_to(root / "other")
    (home / ".ssh" / "id_rsa").write_text("key\n")
    (root / "data" / "operator.token").write_text("hfo_x\n")
    return Scope(
        worktree=worktree,
        cwd=worktree,
        control_paths=(root / "data",),
        protected_ports=(8480, 8484),
        scratch=(scratch,),
        home=home,
    )
