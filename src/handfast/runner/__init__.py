"""The process beside a workspace: sees it, guards it, acts in it.

Lives here: hook endpoints on loopback, worktrees and snapshots, agent processes, execution of grants.

May enter: `client`, `observe`, `core`.
"""
