"""`git` as a command: what each sub-command changes, and what would be lost."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from handfast.core.domain.action import Effect
from handfast.observe import git, gitloss, gitpush, gitsettings
from handfast.observe.case import Case, Invocation
from handfast.observe.gituse import RUNS, GitUse
from handfast.observe.options import names, parse
from handfast.observe.places import Place
from handfast.observe.words import Word

_READS = names(
    "status log diff show blame annotate ls-files ls-tree rev-parse describe grep shortlog cat-file for-each-ref"
    " show-ref name-rev merge-base rev-list diff-tree diff-index diff-files whatchanged cherry range-diff"
    " count-objects check-ignore check-attr check-ref-format var version help fsck verify-commit verify-tag"
    " show-branch merge-tree patch-id interpret-trailers column stripspace get-tar-commit-id difftool"
    " check-mailmap diff-pairs mktree hash-object"
)
_WRITES = names(
    "add commit mv init apply am cherry-pick revert merge notes sparse-checkout format-patch bundle archive"
    " read-tree write-tree commit-tree update-index gc maintenance bisect mergetool rerere pack-refs repack"
    " checkout-index merge-file stage sparse diagnose bugreport"
)
_NETWORK = names("fetch pull clone ls-remote remote-update lfs submodule")
_HARMLESS_VALUES = frozenset({"", "cat", "true", ":", "false", "less", "never", "always"})


def run(call: Invocation, case: Case) -> None:
    """Global options first: `-C` moves, `-c` may make git run something."""
    words, cwds, index = call.args, call.simple.cwds, 0
    aliases: dict[str, str] = {}
    while index < len(words) and words[index].is_option:
        flag = words[index].text
        value = words[index + 1] if index + 1 < len(words) else Word("")
        if flag == "-C":
            cwds = tuple(case.places.expand(value, cwds) or ())
            index += 1
        elif flag == "-c" or (flag.startswith("-c") and len(flag) > 2):
            setting = value if flag == "-c" else words[index].cut(2)
            index += flag == "-c"
            _setting(setting, aliases, call, case)
        elif re.match(r"--(git-dir|work-tree|exec-path|config-env|namespace|super-prefix)", flag):
            case.findings.opaque("git-elsewhere", f"points git at another place: `{call.shown}`")
            index += "=" not in flag and flag != "--exec-path"
        index += 1
    rest = words[index:]
    if rest:
        _subcommand(replace(call, args=rest, simple=replace(call.simple, cwds=cwds)), aliases, case)


def _setting(setting: Word, aliases: dict[str, str], call: Invocation, case: Case) -> None:
    name, _, value = setting.text.partition("=")
    if name.lower().startswith("alias."):
        aliases[name[6:]] = value
    elif setting.dynamic:
        case.findings.opaque(
            "git-config-exec", "gives git settings that are only known when it runs"
        )
    elif name.lower() == "core.hookspath":
        case.findings.hazard(
            "git.hooks", f"switches the repository's hooks: `{setting.shown}`", undo=True
        )
    elif RUNS.match(name) and value.lower() not in _HARMLESS_VALUES:
        case.findings.opaque(
            "git-config-exec", f"makes git run or obey something else: `{call.shown}`"
        )


def _subcommand(call: Invocation, aliases: dict[str, str], case: Case) -> None:
    first = call.args[0]
    name = first.text
    if not first.fixed:
        case.findings.opaque(
            "dynamic-command", "runs a git command that is only known when it runs"
        )
        return
    args = call.args[1:]
    parsed = parse(args, _SHORT_VALUES.get(name, "mCF"), _LONG_VALUES)
    use = GitUse(name, replace(call, args=args), parsed, case)
    _foreign(use)
    if name in _SPECIAL and name != "push" and any(word.may_be_option for word in args):
        case.findings.opaque(
            "dynamic-option", f"gives git options known only when it runs: `{call.shown}`"
        )
    if name in aliases:
        _alias(aliases[name], args, call, case)
    elif name in _SPECIAL:
        _SPECIAL[name](use)
    elif name in _READS:
        _read(use)
    elif name in _WRITES or name in _NETWORK:
        _write(use)
    else:
        _unknown(name, args, call, case)


_SHORT_VALUES = {
    "commit": "mFCct",
    "push": "o",
    "log": "nSGL",
    "branch": "u",
    "clone": "bojuc",
    "checkout": "bB",
    "switch": "cC",
    "restore": "s",
    "tag": "mFu",
    "rebase": "xsX",
    "clean": "e",
    "config": "f",
    "worktree": "bB",
    "reset": "",
    "stash": "m",
    "archive": "o",
    "format-patch": "o",
    "read-tree": "",
    "checkout-index": "",
}
_LONG_VALUES = frozenset(
    {
        "--source",
        "--message",
        "--output",
        "--receive-pack",
        "--upload-pack",
        "--repo",
        "--exec",
        "--conflict",
        "--file",
        "--output-directory",
        "--config",
        "--template",
        "--pathspec-from-file",
        "--separate-git-dir",
    }
)


def _foreign(use: GitUse) -> None:
    """Changing a repository that is not the worktree is a write outside."""
    if use.name in _READS or use.name in {"clone", "init", "ls-remote"} or not _changes(use):
        return
    for cwd in use.cwds:
        if use.case.places.place(cwd) not in {Place.WORKTREE, Place.SCRATCH}:
            use.found.hazard(
                "fs.write-outside", f"runs `git {use.name}` in {cwd}, outside the worktree"
            )
    if not use.cwds:
        use.found.opaque(
            "dynamic-path", f"runs `git {use.name}` in a folder that is only known when it runs"
        )


_LISTS = names("branch tag remote stash worktree config reflog submodule notes bisect")


def _changes(use: GitUse) -> bool:
    return use.name not in _LISTS or bool(use.parsed.operands)


def _alias(meaning: str, args: list[Word], call: Invocation, case: Case) -> None:
    if meaning.startswith("!"):
        case.text(meaning[1:] + " " + " ".join(word.text for word in args), call.simple.cwds)
    else:
        case.argv([Word("git"), *(Word(part) for part in meaning.split()), *args], call.simple)


def _unknown(name: str, args: list[Word], call: Invocation, case: Case) -> None:
    """An alias of the repository, or a program `git-NAME` somewhere on the path."""
    known = case.on_disk and re.fullmatch(r"[\w.-]+", name)
    meaning = git.alias(Path(case.places.worktree), name) if known else None
    if meaning:
        _alias(meaning, args, call, case)
    else:
        case.findings.at_least(Effect.EXEC)
        case.findings.opaque("git-subcommand", f"`git {name[:40]}` is no git command known here")


def _read(use: GitUse) -> None:
    use.found.headline(f"reads: git {use.name}")
    if use.parsed.has("", "--ext-diff") or any(
        word.text.startswith(("-O", "--open-files-in-pager")) for word in use.call.args
    ):
        use.found.opaque("git-config-exec", f"makes git run another program: `{use.call.shown}`")
    for value in use.parsed.all_values("--output"):
        use.case.writes(value, use.cwds)
    if use.name == "difftool":
        use.found.opaque("git-config-exec", "starts the configured diff tool")
    if (use.name, True) in {
        ("hash-object", use.parsed.has("-w", "")),
        ("fsck", use.parsed.has("", "--lost-found")),
    }:
        use.found.at_least(Effect.WRITE)
    shows = use.name in {"log", "whatchanged"} and use.parsed.has("-p", "--patch")
    if shows or use.name in {"show", "diff", "cat-file", "grep", "blame", "annotate"}:
        for word in use.parsed.operands:
            tail = word.text.rpartition(":")[2]
            if tail and not word.dynamic:
                use.case.reads(Word(tail), use.cwds)


def _write(use: GitUse) -> None:
    use.found.headline(f"changes the repository: git {use.name}")
    use.found.at_least(Effect.NETWORK if use.name in _NETWORK else Effect.WRITE)
    if use.parsed.has("", "--upload-pack") or (
        use.parsed.has("-u", "") and use.name in {"fetch", "clone", "ls-remote"}
    ):
        use.found.opaque("git-config-exec", f"names the program git runs: `{use.call.shown}`")
    own = _OWN_WRITES.get(use.name)
    if own is not None:
        own(use)


def _add(use: GitUse) -> None:
    for word in use.parsed.operands:
        use.case.reads(word, use.cwds)


def _create(use: GitUse) -> None:
    given = use.parsed.all_values("-c") + use.parsed.all_values("--config")
    if use.parsed.has("", "--template") or any(
        RUNS.match(word.text.partition("=")[0]) for word in given
    ):
        use.found.opaque("git-config-exec", f"gives git hooks or settings: `{use.call.shown}`")
    for value in use.parsed.all_values("--separate-git-dir"):
        use.case.writes(value, use.cwds, "creates a repository in")
    clones = use.name == "clone"
    targets = use.parsed.operands[1:] if clones else use.parsed.operands
    use.case.writes(targets[0] if targets else Word("."), use.cwds, "creates a repository in")
    if clones:
        use.case.downloads = True
        _fetch(use)


def _fetch(use: GitUse) -> None:
    forced = use.parsed.has("-f", "--force")
    for word in use.parsed.operands[1:]:
        local = word.text.partition(":")[2]
        if (
            local
            and not local.startswith("refs/remotes/")
            and (forced or word.text.startswith("+"))
        ):
            use.found.hazard("git.history-rewrite", f"overwrites branch {local}")
    for word in use.parsed.operands[:1]:
        if re.match(r"(ext|fd)::", word.text):
            use.found.opaque("git-config-exec", f"runs a command as transport: `{word.shown}`")
        use.found.detail(f"talks to {word.shown}")


def _runs_inner(use: GitUse) -> None:
    operands = use.parsed.operands
    if not operands:
        return
    rest = use.call.args[use.call.texts.index(operands[0].text) + 1 :]
    if (use.name, operands[0].text) == ("submodule", "foreach"):
        words = [word.text for word in rest if word.text not in {"--recursive", "--quiet", "-q"}]
        use.case.text(" ".join(words), use.cwds)
    elif (use.name, operands[0].text) == ("submodule", "deinit"):
        use.found.hazard("git.history-rewrite", "empties submodules: changes in them are lost")
    elif (use.name, operands[0].text) == ("submodule", "update"):
        if use.parsed.has("-f", "--force"):
            use.found.hazard("git.history-rewrite", "throws changes in submodules away")
    elif (use.name, operands[0].text) == ("bisect", "run"):
        use.case.argv(rest, use.call.simple)


def _apply(use: GitUse) -> None:
    if use.parsed.has("", "--unsafe-paths"):
        use.found.opaque("dynamic-path", "writes wherever the patch says, also outside")


def _large_files(use: GitUse) -> None:
    if any(word.text in {"push", "unlock"} for word in use.parsed.operands[:1]):
        use.found.hazard("git.push", "uploads large files to the remote")
    if any(word.text in {"migrate", "prune"} for word in use.parsed.operands[:1]):
        use.found.hazard("git.history-rewrite", "rewrites or deletes what large files hold")


def _outputs(use: GitUse) -> None:
    if use.parsed.has("", "--exec") or use.parsed.has("", "--remote"):
        use.found.opaque("git-config-exec", f"runs a program elsewhere: `{use.call.shown}`")
    names = ("-o", "--output", "--output-directory")
    values = [value for name in names for value in use.parsed.all_values(name)]
    if use.name == "bundle":
        values += use.parsed.operands[1:2]
    for value in values:
        use.case.writes(value, use.cwds)


def _merge(use: GitUse) -> None:
    for word in use.parsed.operands:
        gitpush.depends_on_ref(word.text, use.case)


def _collect(use: GitUse) -> None:
    if use.parsed.has("", "--prune"):
        use.found.hazard("git.history-rewrite", "deletes commits no branch holds any more")
    if use.name == "maintenance" and {"start", "register"} & set(use.call.texts):
        use.found.hazard("host.control", "lets the machine start git at set times")


_OWN_WRITES: dict[str, Callable[[GitUse], None]] = {
    "add": _add,
    "apply": _apply,
    "stage": _add,
    "clone": _create,
    "init": _create,
    "fetch": _fetch,
    "pull": _fetch,
    "ls-remote": _fetch,
    "submodule": _runs_inner,
    "bisect": _runs_inner,
    "lfs": _large_files,
    "archive": _outputs,
    "format-patch": _outputs,
    "bundle": _outputs,
    "merge": _merge,
    "gc": _collect,
    "maintenance": _collect,
}

_SPECIAL: dict[str, Callable[[GitUse], None]] = {
    "push": gitpush.push,
    "send-pack": gitpush.push,
    "http-push": gitpush.push,
    "svn": gitpush.foreign_push,
    "p4": gitpush.foreign_push,
    "send-email": gitsettings.sends,
    "imap-send": gitsettings.sends,
    "reset": gitloss.reset,
    "checkout": gitloss.checkout,
    "switch": gitloss.checkout,
    "restore": gitloss.restore,
    "read-tree": gitloss.overwrites,
    "checkout-index": gitloss.overwrites,
    "clean": gitloss.clean,
    "branch": gitloss.branch,
    "tag": gitloss.tag,
    "stash": gitloss.stash,
    "filter-branch": gitloss.filter_branch,
    "filter-repo": gitloss.rewrites,
    "update-ref": gitloss.rewrites,
    "replace": gitloss.rewrites,
    "prune": gitloss.rewrites,
    "fast-import": gitloss.rewrites,
    "rebase": gitloss.rebase,
    "reflog": gitloss.reflog,
    "symbolic-ref": gitloss.symbolic_ref,
    "rm": gitloss.remove,
    "worktree": gitsettings.worktree,
    "config": gitsettings.config,
    "remote": gitsettings.remote,
}

HANDLERS = {"git": run}
