"""Git sub-commands by which work can be lost: resets, restores, deletions, rewritten history."""

import re
from pathlib import Path

from handfast.core.domain.action import Effect
from handfast.core.domain.errors import AdapterError
from handfast.observe import git
from handfast.observe.gituse import GitUse
from handfast.observe.places import Place
from handfast.observe.words import Word


def _lost(paths: list[Word] | None, use: GitUse) -> tuple[str, ...]:
    """Tracked files with uncommitted changes; all of them where `paths` is None."""
    wanted: list[str] = []
    for word in paths or []:
        expanded = use.case.places.expand(word, use.cwds)
        if expanded is None:
            use.found.opaque(
                "dynamic-path", f"discards changes in `{word.shown}`, known only when it runs"
            )
            return ()
        wanted += expanded
        for path in expanded:
            if use.case.places.place(path) is Place.CONTROL:
                use.found.hazard(
                    "control-plane", f"restores {use.case.places.shown(path)} from git"
                )
    if not use.case.on_disk:
        return _unseen(wanted, use) if paths is not None else ("the worktree",)
    if not use.case.may_ask_git():
        return ()
    if paths is None:
        wanted = list(use.cwds[:1])
    try:
        root = [use.case.places.worktree] if paths is None else wanted
        return git.uncommitted(Path(use.case.places.worktree), root)
    except AdapterError as error:
        use.found.opaque(
            "git-unavailable", f"discards changes, and git cannot say which: {error.message}"
        )
        return ()


def _unseen(paths: list[str], use: GitUse) -> tuple[str, ...]:
    """Where only the text is known: everything but what earlier commands of the run itself changed."""
    session = use.case.session
    own = session.edited if session is not None else set()
    return tuple(use.case.places.shown(path) for path in paths if path not in own)


def _discards(what: str, paths: list[Word] | None, use: GitUse) -> None:
    use.found.at_least(Effect.WRITE)
    lost = _lost(paths, use)
    if lost:
        names = f"{len(lost)} files" if len(lost) > 1 else lost[0]
        use.found.hazard(
            "git.history-rewrite", f"{what}: loses uncommitted changes in {names}, no undo"
        )
        for name in lost:
            use.found.detail(f"loses uncommitted changes in {name}")
    else:
        use.found.headline(f"{what}; no tracked changes are lost")


def reset(use: GitUse) -> None:
    hard = any(use.parsed.has("", flag) for flag in ("--hard", "--merge", "--keep"))
    target = next((word.text for word in use.parsed.operands), "HEAD")
    use.found.at_least(Effect.WRITE)
    use.found.headline(f"resets the index to {target}")
    if hard:
        _discards(f"resets the worktree to {target}", None, use)
        if target not in {"HEAD", "@"}:
            use.found.hazard(
                "git.history-rewrite", f"moves the branch to {target} and the worktree with it"
            )


def checkout(use: GitUse) -> None:
    use.found.at_least(Effect.WRITE)
    use.found.headline("switches the branch")
    if use.parsed.has("-B", "") or use.parsed.has("-C", "--force-create"):
        use.found.hazard("git.history-rewrite", "moves an existing branch to another commit")
    if use.parsed.has("-f", "--force") or use.parsed.has("", "--discard-changes"):
        _discards("switches by force", None, use)
        return
    if use.name == "switch" or use.parsed.has("-b", "--orphan"):
        return
    paths = None if use.parsed.has("", "--pathspec-from-file") else _paths_of(use)
    simple = use.call.simple
    answered = simple.fed or simple.stdin is not None or bool(simple.redirects)
    if answered and use.parsed.has("-p", "--patch"):  # something says yes to each change
        paths = paths or [Word(".")]
    if paths is None or paths:
        _discards("restores files from git", paths, use)


_FILE_LIKE = re.compile(r"(?!\.\.?/?$)[\w./+-]*\.[A-Za-z]\w{0,4}")
_PATHS_LIKE = re.compile(r"\.\.?(/|$)|.*/$|.*[*?\[]|:|/|~")


def _paths_by_text(operands: list[Word]) -> list[Word]:
    """Operands of `git checkout` without `--`, where nobody can say which are branches.

    Files named one by one pass, as their deletion does; a tree, a pattern, or anything taken from another
    commit counts as restored.
    """
    if all(word.fixed and _FILE_LIKE.fullmatch(word.text) for word in operands):
        return []
    if operands and _PATHS_LIKE.match(operands[0].text):
        return operands
    return operands[1:]


def _paths_of(use: GitUse) -> list[Word]:
    """Which operands of `git checkout` are paths: those after `--`, else those that are no commit."""
    texts = use.call.texts
    if "--" in texts:
        return use.call.args[texts.index("--") + 1 :]
    operands = use.parsed.operands
    if not use.case.on_disk:
        return _paths_by_text(operands)
    if (
        operands
        and operands[0].fixed
        and git.resolve(Path(use.case.places.worktree), operands[0].text)
    ):
        return operands[1:]
    return operands


def restore(use: GitUse) -> None:
    if use.parsed.has("-S", "--staged") and not use.parsed.has("-W", "--worktree"):
        use.found.at_least(Effect.WRITE)
        use.found.headline("takes files out of the index")
        return
    listed = use.parsed.has("", "--pathspec-from-file")
    _discards("restores files from git", None if listed else use.parsed.operands, use)


def overwrites(use: GitUse) -> None:
    """`read-tree -u`, `checkout-index -f`: plumbing that writes the worktree."""
    use.found.at_least(Effect.WRITE)
    use.found.headline(f"changes the index: git {use.name}")
    for prefix in use.parsed.all_values("--prefix") if use.name == "checkout-index" else ():
        use.case.writes(prefix, use.cwds)
    forced = use.parsed.has("-f", "--force") or use.parsed.has("-u", "--reset")
    if forced and not use.parsed.has("", "--prefix"):
        _discards("writes the worktree from git", None, use)


def clean(use: GitUse) -> None:
    if use.parsed.has("-n", "--dry-run"):
        use.found.headline("lists untracked files")
        return
    use.found.at_least(Effect.WRITE)
    use.found.headline("deletes untracked files inside the worktree")
    if not use.case.on_disk:
        use.found.hazard("fs.delete", "deletes every untracked file: no undo")
    if use.parsed.has("-x", "") or use.parsed.has("-X", ""):
        use.found.hazard(
            "git.history-rewrite", "deletes ignored files too: local settings and data, no undo"
        )


def branch(use: GitUse) -> None:
    forced = use.parsed.has("-f", "--force")
    names = " ".join(word.shown for word in use.parsed.operands)
    if use.parsed.has("-D", "") or (forced and use.parsed.has("-d", "--delete")):
        use.found.hazard(
            "git.history-rewrite", f"deletes branch {names} whether or not it was merged"
        )
    elif use.parsed.has("-M", "") or use.parsed.has("-C", "") or forced:
        use.found.hazard("git.history-rewrite", f"overwrites branch {names}")
    if use.parsed.operands and not (
        use.parsed.has("-l", "--list")
        or use.parsed.has("", "--contains")
        or use.parsed.has("", "--merged")
    ):
        use.found.at_least(Effect.WRITE)
        use.found.headline(f"changes branches: {names}")
    else:
        use.found.headline("reads: git branch")


def tag(use: GitUse) -> None:
    names = " ".join(word.shown for word in use.parsed.operands)
    if use.parsed.has("-d", "--delete") or use.parsed.has("-f", "--force"):
        use.found.hazard("git.history-rewrite", f"deletes or moves tag {names}")
    if use.parsed.operands and not use.parsed.has("-l", "--list"):
        use.found.at_least(Effect.WRITE)
        use.found.headline(f"creates tag {names}")


def stash(use: GitUse) -> None:
    action = use.parsed.operands[0].text if use.parsed.operands else "push"
    if action in {"list", "show"}:
        use.found.headline("reads: git stash")
        return
    use.found.at_least(Effect.WRITE)
    use.found.headline(f"sets changes aside: git stash {action}")
    if action in {"drop", "clear"}:
        use.found.hazard("git.history-rewrite", f"throws stashed changes away: git stash {action}")


def rewrites(use: GitUse) -> None:
    use.found.at_least(Effect.WRITE)
    use.found.hazard(
        "git.history-rewrite",
        f"rewrites history or refs: `git {use.name} {' '.join(use.call.texts)[:80]}`",
    )


def filter_branch(use: GitUse) -> None:
    rewrites(use)
    for flag, value in zip(use.call.args, use.call.args[1:], strict=False):
        if flag.text.endswith("-filter"):
            use.case.text(value.text, use.cwds)


def rebase(use: GitUse) -> None:
    use.found.at_least(Effect.WRITE)
    use.found.headline("goes on with a rebase")
    for value in use.parsed.all_values("-x") + use.parsed.all_values("--exec"):
        use.case.text(value.text, use.cwds)
    if not any(
        use.parsed.has("", flag)
        for flag in ("--abort", "--continue", "--skip", "--quit", "--show-current-patch")
    ):
        use.found.hazard(
            "git.history-rewrite", "rebases: replaces commits by rewritten ones", undo=True
        )


def reflog(use: GitUse) -> None:
    use.found.headline("reads: git reflog")
    if any(word.text in {"expire", "delete", "drop", "write"} for word in use.parsed.operands[:1]):
        rewrites(use)


def symbolic_ref(use: GitUse) -> None:
    if len(use.parsed.operands) > 1 or use.parsed.has("-d", "--delete"):
        rewrites(use)


def remove(use: GitUse) -> None:
    use.found.at_least(Effect.WRITE)
    if use.parsed.has("", "--cached"):
        use.found.headline("takes files out of the index")
    elif not use.parsed.has("-n", "--dry-run"):
        use.case.deletes(use.parsed.operands, use.cwds, recursive=True)
