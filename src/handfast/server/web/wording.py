"""The words of the pages: one table a concept, so that a name is said the same way everywhere."""

from handfast.core.policy.builtin import RULES

KINDS = {
    "approval": "Approval",
    "review": "Review of finished work",
    "escalation": "Escalation",
    "question": "Question",
    "delegation": "Delegation",
    "takeover": "Takeover",
    "doubt": "Doubt about an effect",
}

RISKS = ("low", "medium", "high", "critical")

STATUSES = {
    "requested": "waiting",
    "incomplete": "back with the agent",
    "routed": "waiting",
    "acknowledged": "held",
    "decided": "decided",
    "resumed": "resumed",
    "closed": "closed",
    "superseded": "superseded",
    "withdrawn": "withdrawn",
    "expired": "nobody answered",
}

WAITING = frozenset({"requested", "routed", "acknowledged"})

DECIDED_WORDS = {
    "approve": "Approved",
    "approve_with_edits": "Approved with edits",
    "answer": "Answered",
    "request_changes": "Changes requested",
    "reject": "Refused",
    "take_over": "Taken over",
}

# name → (what it does, how far it reaches); the names are those of core.policy.builtin
HAZARDS = {
    "fs.delete-tracked": ("Deletes files that git tracks.", "the repository's files"),
    "fs.write-outside": ("Writes outside the worktree.", "files outside the worktree"),
    "fs.write-scratch": ("Writes scratch files.", "a scratch folder"),
    "git.push": ("Publishes commits to a remote.", "the remote repository"),
    "git.push-force": (
        "Rewrites a remote branch: commits of other people on it can be lost.",
        "the remote branch and everyone who works on it",
    ),
    "git.history-rewrite": (
        "Rewrites or drops local work that may not come back.",
        "local commits and uncommitted work",
    ),
    "git.hooks": ("Changes what git runs by itself.", "every later git command here"),
    "publish": ("Publishes a package; others may install it at once.", "everyone who installs it"),
    "deploy": ("Changes a running environment.", "the users of that environment"),
    "db.migrate": ("Changes the schema of a database.", "the database and what uses it"),
    "sql.destructive": ("Destroys or rewrites data in a database.", "the data in that database"),
    "sql.schema": ("Changes the structure of a database.", "the database and what uses it"),
    "sql.privilege": ("Changes who may do what in a database.", "everyone who uses that database"),
    "sql.program": (
        "Reaches files, programs or the server through a database.",
        "the database server and its machine",
    ),
    "sql.write": ("Adds or changes rows in a database.", "the rows it names"),
    "secret.access": ("Reads credentials or keys.", "what these credentials open"),
    "net.send": ("Sends data off this machine.", "the host it reaches"),
    "exec.remote": ("Runs code fetched from elsewhere.", "whatever that code does"),
    "exec.inline": ("Runs a program written inside the command.", "whatever that program does"),
    "priv.sudo": ("Runs with the rights of another user.", "the whole machine"),
    "priv.sandbox": ("Leaves or loosens the sandbox.", "the whole machine"),
    "forge.write": ("Changes something on the code host.", "everyone who works on that repository"),
    "host.control": ("Controls this machine or its services.", "the whole machine"),
    "agent.start": ("Starts another agent.", "whatever that agent does"),
    "agent.config": ("Changes how agents are set up.", "every later session of the agent"),
    "process.kill": ("Ends processes it did not start.", "other programs on this machine"),
    "control-plane": ("Reaches into Handfast itself.", "the record and its safeguards"),
}

OPAQUE = {
    "archive-option": "An archive option may run a program.",
    "config-file": "It is steered by a configuration file that was not read.",
    "control-characters": "It holds control characters.",
    "dynamic-argument": "An argument is worked out while it runs.",
    "dynamic-code": "The code it runs is worked out while it runs.",
    "client-command": "It holds a command of the database client that was not read.",
    "comment": "A comment in its SQL is run by some servers.",
    "dynamic-command": "The name of a command is worked out while it runs.",
    "dynamic-host": "The host it reaches is worked out while it runs.",
    "dynamic-option": "An option is worked out while it runs.",
    "dynamic-path": "A path is worked out while it runs.",
    "dynamic-ref": "A branch or commit is worked out while it runs.",
    "dynamic-sql": "The SQL is worked out while it runs.",
    "git-config-exec": "A git setting in it may run a program.",
    "git-elsewhere": "It points git at another repository.",
    "git-subcommand": "The git subcommand is not known.",
    "git-unavailable": "Git could not be asked about the files.",
    "nesting": "Commands are hidden in commands too deeply to follow.",
    "other-program": "It runs another program that was not read.",
    "piped-code": "It runs code that comes through a pipe.",
    "sed-script": "Its sed script could not be read.",
    "explain-analyze": "It runs a change to measure it.",
    "sql-from-file": "The SQL comes from a file that was not read.",
    "sql-from-pipe": "The SQL comes through a pipe.",
    "sql-nesting": "Its SQL is nested too deeply to follow.",
    "sql-too-long": "Its SQL is longer than what is analysed.",
    "too-long": "The command is longer than what is analysed.",
    "tree-too-large": "The folder it works on is too large to fingerprint.",
    "unknown-function": "Its SQL calls a function that may do anything.",
    "unknown-tool": "The tool is not known to Handfast.",
    "unread-keyword": "Its SQL holds a word where another statement may begin.",
    "unread-statement": "Its SQL holds a statement that is not read in advance.",
    "unparsable-sql": "It could not be read as SQL.",
    "version-comment": "A comment in its SQL is run by some servers.",
    "unparsable": "It could not be read as a shell command.",
    "written-then-run": "It writes a script and runs it at once.",
}

# key of a review → what its paths mean
REVIEW_WARNINGS = {
    "outside_scope": "Changes outside the scope of the task",
    "powerful": "Changes files that run or steer something by themselves",
    "symlinks": "Adds symbolic links",
    "submodules": "Changes submodules",
    "mode_changes": "Changes file modes",
}

EFFECTS = {
    "verified": "Handfast ran it and recorded the result itself.",
    "reported": "The agent's own tool ran it and reported the result. Handfast did not run it.",
    "unknown": "It may have run. No result was recorded, and it is not repeated by itself.",
    "none": "Nothing ran.",
}

GRANTS = {
    "minted": "Permission given, not used yet.",
    "redeemed": "Permission used: it has started.",
    "settled": "Permission used up.",
    "expired": "Permission expired unused. It can no longer run.",
    "blocked": "A start is in doubt. The others wait until a person has answered.",
    "revoked": "Permission taken back. It can no longer run.",
}

EXECUTORS = {
    "hooked": "the agent's own tool, after the hook said yes",
    "mediated": "Handfast itself",
}

RUN_STATUSES = {
    "queued": "queued",
    "leased": "starting",
    "running": "running",
    "paused": "waiting for a person",
    "ready": "ready to go on",
    "exited": "agent ended",
    "taken_over": "in a person's hands",
    "ended": "ended",
}

RUN_OUTCOMES = {
    "merged": "merged",
    "rejected": "work refused",
    "never_started": "the agent never started",
    "failed": "failed",
    "nothing_changed": "nothing changed",
    "withdrawn": "withdrawn",
    "session_over": "session over",
}

VERDICTS = {
    "allow": ("allowed", "quiet"),
    "wait": ("stopped for a person", "warn"),
    "deny": ("blocked by policy", "bad"),
    "observed": ("would have stopped", "warn"),
}

GAPS = {
    "hook-absent": "The hook was not installed.",
    "hook-paused": "The hook was paused.",
    "version-unproven": "The agent's version is not proven to honour the hook.",
    "not-handed-over": "The worktree could not be handed over to the person who took the run over.",
    "no-hook": "The agent ran without a hook: only its start, end and changes were seen.",
}


_RULE_WORDS = {hazard: rule.why for rule in RULES for hazard in rule.hazards}


def kind_word(kind: str) -> str:
    """The name of a kind of handoff."""
    return KINDS.get(kind, kind.replace("_", " ").capitalize() or "Handoff")


def hazard_sentence(name: str) -> str:
    """What a hazard means: our words, else those of its rule; an unknown one is named, never hidden."""
    if name in HAZARDS:
        return HAZARDS[name][0]
    return f"{_RULE_WORDS[name].removesuffix('.')}." if name in _RULE_WORDS else f"Hazard `{name}`."


def opaque_sentence(name: str) -> str:
    """What could not be read of a call."""
    return OPAQUE.get(name, f"Not readable: {name.replace('-', ' ')}.")
