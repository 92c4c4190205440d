"""Small real git repositories for tests."""

import os
import subprocess
from pathlib import Path


def git(directory: Path, *arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=directory, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def commit(root: Path, files: dict[str, str], message: str = "change") -> str:
    write(root, files)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD")


def new_repository(root: Path) -> Path:
    root.mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    write(root, {"README": "hello\n", "src/a.py": "a = 1\n", ".gitignore": "*.log\nbuild/\n"})
    (root / "run.sh").write_text("#!/bin/sh\necho run\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("README")
    commit(root, {}, "first")
    return root


def files_of(root: Path) -> dict[str, tuple[str, bytes]]:
    """Every file but git's own: kind and permission to execute, and content."""
    found = {}
    for folder, folders, names in os.walk(root):
        if ".git" in folders:
            folders.remove(".git")
        for name in [*names, *(each for each in folders if (Path(folder) / each).is_symlink())]:
            path = Path(folder) / name
            shown = str(path.relative_to(root))
            if shown == ".git":
                continue
            if path.is_symlink():
                found[shown] = ("link", os.fsencode(path.readlink()))
            else:
                kind = "exec" if path.stat().st_mode & 0o100 else "file"
                found[shown] = (kind, path.read_bytes())
    return found


def state_of(root: Path) -> dict[str, object]:
    """All a user sees of a repository: files, index, HEAD, branches and tags, configuration."""
    git(root, "update-index", "-q", "--refresh")
    refs = git(root, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return {
        "files": files_of(root),
        "index": git(root, "ls-files", "-s"),
        "status": git(root, "status", "--porcelain=v2", "--branch"),
        "head": (root / ".git" / "HEAD").read_text(),
        "refs": [ref for ref in refs if not ref.startswith("refs/handfast/")],
        "config": (root / ".git" / "config").read_text(),
        "worktrees": git(root, "worktree", "list"),
    }
