"""`git push`: what leaves, where to, and whether it overwrites what is there."""

from pathlib import Path

from handfast.core.domain.action import Effect
from handfast.core.domain.errors import AdapterError
from handfast.observe import git
from handfast.observe.case import Case
from handfast.observe.gituse import GitUse
from handfast.observe.operands import ALL_REFS, ref_operand
from handfast.observe.options import Parsed


def push(use: GitUse) -> None:
    found = use.found
    found.at_least(Effect.NETWORK)
    if use.parsed.has("-n", "--dry-run"):
        found.headline("asks what a push would do")
        return
    remote = use.parsed.operands[0].shown if use.parsed.operands else "its default remote"
    specs = [word.text for word in use.parsed.operands[1:]]
    every = any(use.parsed.has("", flag) for flag in ("--all", "--branches", "--tags", "--mirror"))
    what = ", ".join(_named(spec) for spec in specs) or _default(use.case, every=every)
    for name in _targets(specs, use.case, every=every):
        found.branch(name)
    said = f"pushes {what} to {remote}"
    if _overwrites(use.parsed, specs):
        said = f"force-pushes {what} to {remote}: replaces remote history"
        found.hazard("git.push-force", said)
    elif _deletes(use.parsed, specs):
        said = f"deletes {what} on {remote}"
        found.hazard("git.push-force", said)
    found.hazard("git.push", said)  # the same words: they are said once
    if any(word.dynamic for word in use.parsed.operands) or any(
        w.raw.startswith("\ufdd0") for w in use.call.args
    ):
        found.opaque("dynamic-ref", "pushes something that is only known when it runs")
    if use.parsed.has("", "--receive-pack") or use.parsed.has("", "--exec"):
        found.opaque("git-config-exec", f"names the program the remote runs: `{use.call.shown}`")
    _depends(specs, use.case, every=every)


def _overwrites(parsed: Parsed, specs: list[str]) -> bool:
    forced = any(flag.startswith("--for") for flag in parsed.flags) or parsed.has("-f", "")
    return forced or parsed.has("", "--mirror") or any(spec.startswith("+") for spec in specs)


def _deletes(parsed: Parsed, specs: list[str]) -> bool:
    asked = parsed.has("-d", "--delete") or parsed.has("", "--prune")
    return asked or any(spec.startswith(":") and len(spec) > 1 for spec in specs)


def _named(spec: str) -> str:
    source, _, target = spec.removeprefix("+").partition(":")
    if not target:
        return f"branch {source}"
    return f"branch {target} (from {source})" if source else f"branch {target}"


def _targets(specs: list[str], case: Case, *, every: bool) -> list[str]:
    """The names written on the remote; `*` where it is every one, or cannot be told."""
    if every:
        return ["*"]
    current = (case.on_disk and git.branch(Path(case.places.worktree))) or "*"
    if not specs:
        return [current]
    found = []
    for spec in specs:
        source, colon, target = spec.removeprefix("+").partition(":")
        name = (target if colon else source).removeprefix("refs/heads/").removeprefix("refs/tags/")
        found.append(current if name in ("HEAD", "@") else name or "*")
    return found


def _default(case: Case, *, every: bool) -> str:
    if every:
        return "every branch or tag"
    name = case.on_disk and git.branch(Path(case.places.worktree))
    return f"branch {name}" if name else "the current branch"


def _depends(specs: list[str], case: Case, *, every: bool) -> None:
    """An approval is for the commits that were there when it was asked for."""
    sources = [spec.removeprefix("+").partition(":")[0] for spec in specs]
    if every:
        _operand(ALL_REFS, case)
    for source in sources or ["HEAD"]:
        if source:
            depends_on_ref(source, case)


def depends_on_ref(ref: str, case: Case) -> None:
    if not case.on_disk:
        return
    commit = git.resolve(Path(case.places.worktree), ref)
    case.findings.detail(f"{ref} is commit {commit}" if commit else f"{ref} is no commit here")
    _operand(f"git:{ref}", case)


def _operand(path: str, case: Case) -> None:
    if not case.on_disk:
        return
    try:
        case.depends_on(ref_operand(path, case.places.scope))
    except AdapterError as error:
        case.findings.opaque(
            "git-unavailable", f"git cannot say which commits leave: {error.message}"
        )


def foreign_push(use: GitUse) -> None:
    use.found.at_least(Effect.NETWORK)
    if any(
        word.text in {"dcommit", "commit-diff", "set-tree", "submit"}
        for word in use.parsed.operands[:1]
    ):
        use.found.hazard("git.push", f"sends commits to another system: `{use.call.shown}`")
