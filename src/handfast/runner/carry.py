"""Whether a target that moved after an approval changes nothing about what was approved: proved in objects.

no-code-change   the target's tree is the same as the reviewer's
trivial-rebase   the merge applies the same patch (`git patch-id --stable`), and every file it touches is the
                 same afterwards, byte for byte, as it would have been on the target the reviewer saw
"""

from dataclasses import dataclass

from handfast.runner.git import Git


@dataclass(frozen=True, slots=True)
class Proof:
    """`patch_id` is empty for `no-code-change`. The targets are full commit ids."""

    kind: str
    commit: str
    old_target: str
    new_target: str
    old_patch_id: str = ""
    new_patch_id: str = ""

    def fields(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def carry_proof(git: Git, commit: str, old_target: str, new_target: str) -> Proof | None:
    """None when it cannot be proved: history was rewritten, the merge conflicts, or it touches what moved.

    Raises AdapterError.
    """
    if git.commit_id(old_target) != old_target or not git.is_ancestor(old_target, new_target):
        return None
    trees = [git.text("rev-parse", f"{c}^{{tree}}") for c in (old_target, new_target)]
    if trees[0] == trees[1]:
        return Proof("no-code-change", commit, old_target, new_target)
    merged = [_merged(git, target, commit) for target in (old_target, new_target)]
    if not all(merged):
        return None
    before, after = _patch_id(git, trees[0], merged[0]), _patch_id(git, trees[1], merged[1])
    if not before or before != after:
        return None
    touched = git.run("diff-tree", "-r", "-z", "--no-renames", "--name-only", trees[0], merged[0])
    results = [_entries(git, tree, touched.names) for tree in merged]
    if results[0] != results[1]:
        return None
    return Proof("trivial-rebase", commit, old_target, new_target, before, after)


def _merged(git: Git, target: str, commit: str) -> str:
    """The tree of the merge; '' when it conflicts."""
    done = git.run(
        "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", target, commit,
        accept=(0, 1),
    )  # fmt: skip
    return done.names[0] if done.code == 0 and done.names else ""


def _patch_id(git: Git, before: str, after: str) -> str:
    patch = git.run(
        "diff-tree", "-r", "-p", "--full-index", "--binary", "--no-renames", before, after
    )
    found = git.run("patch-id", "--stable", stdin=patch.stdout).text
    return found.split()[0] if found else ""


def _entries(git: Git, tree: str, names: list[str]) -> set[str]:
    """Mode, object and name of each of `names` in `tree`; a deleted one is not among them."""
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", tree).names
    wanted = set(names)
    return {line for line in listed if line.partition("\t")[2] in wanted}
