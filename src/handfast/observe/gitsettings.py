"""Git sub-commands that change settings, remotes and worktrees."""

from handfast.core.domain.action import Effect
from handfast.observe.gituse import RUNS, GitUse


def worktree(use: GitUse) -> None:
    action = use.parsed.operands[0].text if use.parsed.operands else "list"
    if action == "list":
        return
    use.found.at_least(Effect.WRITE)
    if action in {"add", "move"}:
        for word in use.parsed.operands[1:2] if action == "add" else use.parsed.operands[2:3]:
            use.case.writes(word, use.cwds, "creates a worktree in")
    elif action == "remove":
        use.found.hazard(
            "git.history-rewrite", "removes a worktree and what is not committed in it"
        )


_READ_CONFIG = (
    "--get",
    "--get-all",
    "--get-regexp",
    "--get-urlmatch",
    "--list",
    "-l",
    "list",
    "get",
    "--show-origin",
)


def config(use: GitUse) -> None:
    texts = use.call.texts
    operands = [
        word
        for word in use.parsed.operands
        if word.text not in {"set", "unset", "get", "list", "edit"}
    ]
    writes = len(operands) > 1 or any(
        t.startswith(("--unset", "--add", "--replace", "--edit", "-e", "--re")) for t in texts
    )
    writes = writes or any(
        word.text in {"set", "unset", "edit"} for word in use.parsed.operands[:1]
    )
    if any(text in _READ_CONFIG for text in texts) or not writes:
        use.found.headline("reads: git config")
        return
    use.found.at_least(Effect.WRITE)
    use.found.headline("changes git's settings for this repository")
    if any(text in {"--global", "--system"} for text in texts):
        use.found.hazard(
            "fs.write-outside", "changes git's settings for every repository", undo=True
        )
    for value in use.parsed.all_values("-f") + use.parsed.all_values("--file"):
        use.case.writes(value, use.cwds)
    name = operands[0].text if operands else ""
    if not operands or not operands[0].fixed or RUNS.match(name):
        use.found.hazard(
            "git.hooks", f"sets {name or 'settings'}: git runs or obeys this", undo=True
        )


def remote(use: GitUse) -> None:
    actions = {
        "add",
        "remove",
        "rm",
        "rename",
        "set-url",
        "set-head",
        "set-branches",
        "prune",
        "update",
    }
    if use.parsed.operands and use.parsed.operands[0].text in actions:
        use.found.at_least(Effect.WRITE)
        use.found.headline(
            "changes remotes: " + " ".join(word.shown for word in use.parsed.operands)
        )
    else:
        use.found.headline("reads: git remote")


def sends(use: GitUse) -> None:
    use.found.at_least(Effect.NETWORK)
    use.found.hazard("net.send", f"sends commits or mail: `{use.call.shown}`")
