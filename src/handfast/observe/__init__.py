"""Facts from the real call: shell, git, diff, paths, secrets, operand hashes.

Lives here: parsers and readers that look at a command or a worktree and report what is there. They do
not judge: verdicts are `core.policy`.

May enter: `core`, third-party parsers, git and the file system.
"""
