"""Git's part of a sandbox: an agent commits on its branch and can do nothing else to the repository.

Inside, the common folder of the repository can only be read. In three places something of the run's own
lies over it: `objects` (empty; the real ones are its alternates), the folder of the branch, and the
folder of the branch's log. So objects and packs of the repository cannot be deleted or replaced, and no
other ref, no setting and no hook can be changed.

`collect` brings the result home once the agent is gone: every new object is packed by git and its hash
computed again on the way in, then the branch is moved to what the agent left. Until then the repository
knows nothing of it. May be repeated after a crash.
"""

import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.core.domain.errors import RejectedError
from handfast.runner.containment.mounts import Mount, Seen
from handfast.runner.git import Git
from handfast.runner.workspace import Workspace, keep_commit

STORE: Final = "git"
# Where the real objects are found inside.
_SHARED: Final = Path("/run/handfast/objects")
_REF: Final = re.compile(rb"[0-9a-f]{40}([0-9a-f]{24})?\n?")
_LOOSE: Final = re.compile(r"[0-9a-f]{2}")
_PACKED: Final = re.compile(r"pack-[0-9a-f]+\.(pack|idx)")
# The runner's git obeys these: they say where the repository is and how it is set up.
_FIXED: Final = ("commondir", "gitdir", "config.worktree")


@dataclass(frozen=True, slots=True)
class Store:
    """What lies over the repository, in `folder`."""

    folder: Path

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    @property
    def refs(self) -> Path:
        return self.folder / "refs"

    @property
    def began(self) -> Path:
        """Where the branch was. Not seen inside."""
        return self.folder / "began"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"


def prepare(workspace: Workspace, run_folder: Path) -> list[Mount]:
    """A fresh store, and how it is laid over the repository. An earlier one must have been collected.

    Raises RejectedError (`containment_unfit`) for a repository that cannot be laid over.
    """
    git = Git(workspace.repository)
    common = _place(git, "--git-common-dir")
    _check(workspace, common)
    store = Store(run_folder / STORE)
    if store.folder.exists():
        shutil.rmtree(store.folder)
    for folder in (store.objects / "info", store.objects / "pack", store.refs, store.logs):
        folder.mkdir(parents=True, mode=0o700)
    real = _place(git, "--git-path", "objects")
    borrowed = list(_alternates(real))
    lines = "".join(f"{each}\n" for each in (_SHARED, *borrowed))
    (store.objects / "info" / "alternates").write_text(lines, "utf-8")
    tip = git.commit_id(workspace.branch_ref)
    store.began.write_text(tip or "", "ascii")
    leaf = workspace.branch.rpartition("/")[2]
    if tip is not None:
        (store.refs / leaf).write_text(f"{tip}\n", "ascii")
    refs = common / Path(workspace.branch_ref).parent
    logs = common / "logs" / Path(workspace.branch_ref).parent
    for folder in (refs, logs):
        folder.mkdir(parents=True, exist_ok=True)
    _settle(workspace)
    admin = workspace.git_dir.resolve()
    return [
        Mount(Seen.READ, common),
        *(Mount(Seen.READ, each) for each in borrowed),
        Mount(Seen.READ, _SHARED, real),
        Mount(Seen.WRITE, real, store.objects),
        Mount(Seen.WRITE, refs, store.refs),
        Mount(Seen.WRITE, logs, store.logs),
        Mount(Seen.WRITE, admin),
        *(Mount(Seen.READ, admin / name) for name in _FIXED),
        Mount(Seen.WRITE, workspace.path),
        Mount(Seen.READ, workspace.path / ".git"),
    ]


def collect(workspace: Workspace, run_folder: Path) -> None:
    """Bring home what a contained agent committed and staged. The agent must be gone.

    Nothing happens when there is nothing to collect. Raises AdapterError (`git_failed`) when an object is
    not what it claims to be; nothing of the repository has changed then.
    """
    store = Store(run_folder / STORE)
    if not store.folder.is_dir():
        return
    _only_plain(workspace.git_dir)
    _only_plain(store.folder)
    git = Git(workspace.repository)
    _bring_objects(git, store)
    tip = _tip(store, workspace)
    old = git.commit_id(workspace.branch_ref)
    if tip and tip != old:
        git.run("rev-list", "--objects", "--quiet", tip, "--not", "--all")
        if (old or "") == store.began.read_text("ascii"):
            git.run("update-ref", "-m", "contained agent", workspace.branch_ref, tip, old or "")
        else:
            # Another runner had the run meanwhile: what it made of the branch counts.
            keep_commit(git, workspace.run_id, tip)
    shutil.rmtree(store.folder)


def _bring_objects(git: Git, store: Store) -> None:
    """All of them, not only what the branch reaches: the index may hold what was never committed."""
    _only_objects(store.objects)
    own = Git(git.directory, objects=store.objects)
    listed = own.run(
        "cat-file", "--batch-all-objects", "--batch-check=%(objectname)", "--unordered"
    ).stdout
    if not listed.strip():
        return
    pack = own.run("pack-objects", "--stdout", "--quiet", "--no-reuse-object", stdin=listed).stdout
    git.run("index-pack", "--stdin", "--fsck-objects", stdin=pack)


def _only_objects(folder: Path) -> None:
    """Leave loose objects and packs. Lists of alternates, indexes of packs and caches could steer git."""
    for each in folder.iterdir():
        if not (each.name == "pack" or _LOOSE.fullmatch(each.name)):
            _remove(each)
    pack = folder / "pack"
    for each in pack.iterdir() if pack.is_dir() else ():
        if not _PACKED.fullmatch(each.name):
            _remove(each)


def _tip(store: Store, workspace: Workspace) -> str:
    """Where the agent left its branch; '' when that cannot be told."""
    path = store.refs / workspace.branch.rpartition("/")[2]
    content = path.read_bytes()[:100] if path.is_file() else b""
    return content.decode("ascii").strip() if _REF.fullmatch(content) else ""


def _only_plain(folder: Path) -> None:
    """Take away links, pipes and sockets an agent may have left where git reads and writes out here, and
    open what it closed to us."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        place.chmod(place.stat().st_mode | stat.S_IRWXU)
        for path in place.iterdir():
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                waiting.append(path)
            elif not stat.S_ISREG(mode):
                path.unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _settle(workspace: Workspace) -> None:
    """Nothing but plain files, and the settings file there, so that the agent cannot make it."""
    _only_plain(workspace.git_dir)
    (workspace.git_dir / "config.worktree").touch()


def _check(workspace: Workspace, common: Path) -> None:
    if (common / "reftable").exists():
        raise _unfit("it keeps its refs in a reftable, which cannot be shared in part")
    link = workspace.path / ".git"
    if link.is_symlink() or not link.is_file():
        raise _unfit(f"`{link}` is not the file git made")
    objects = common / "objects"
    if objects.is_symlink():
        raise _unfit(f"`{objects}` is a link")


def _unfit(why: str) -> RejectedError:
    return RejectedError(
        f"the repository cannot be used from a sandbox: {why}",
        code="containment_unfit",
        hint="Start the run with `--contained off`.",
    )


def _place(git: Git, *question: str) -> Path:
    return Path(git.text("rev-parse", "--path-format=absolute", *question)).resolve()


def _alternates(objects: Path) -> Iterator[Path]:
    """Folders the repository itself borrows objects from."""
    listed = objects / "info" / "alternates"
    if not listed.is_file():
        return
    for line in listed.read_text("utf-8", "surrogateescape").splitlines():
        if line and not line.startswith("#"):
            yield (objects / line).resolve()
