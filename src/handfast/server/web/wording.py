"""The words of the pages: one table a concept, so that a name is said the same way everywhere."""

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

# name → (what it does, how far it reaches)
HAZARDS = {
    "fs.delete": ("Deletes files.", "files"),
    "fs.delete-tracked": ("Deletes files that git tracks.", "the repository's files"),
    "fs.delete-recursive": ("Deletes a folder with everything in it.", "files"),
    "fs.write-outside": ("Writes outside the worktree.", "files outside the worktree"),
    "git.push": ("Publishes commits to a remote.", "the remote repository"),
    "git.push-force": (
        "Rewrites a remote branch: commits of other people on it can be lost.",
        "the remote branch and everyone who works on it",
    ),
    "git.rewrite": ("Rewrites local history.", "the local repository"),
    "git.discard": ("Throws away changes that were never committed.", "uncommitted work"),
    "publish": ("Publishes a package; others may install it at once.", "everyone who installs it"),
    "deploy": ("Changes a running environment.", "the users of that environment"),
    "infra": ("Changes infrastructure.", "the infrastructure it names"),
    "db.migrate": ("Changes the schema of a database.", "the database and what uses it"),
    "db.destroy": ("Deletes data in a database.", "the data in that database"),
    "secret.access": ("Reads credentials or keys.", "what these credentials open"),
    "priv.sudo": ("Runs with the rights of another user.", "the whole machine"),
    "control-plane": ("Reaches into Handfast itself.", "the record and its safeguards"),
    "exec.inline": ("Runs a program written inside the command.", "what that program does"),
    "network": ("Sends data over the network.", "the host it reaches"),
}

OPAQUE = {
    "dynamic-command": "The name of a command is worked out while it runs.",
    "dynamic-argument": "An argument is worked out while it runs.",
    "unparsable": "The command could not be read as a shell command.",
    "unknown-tool": "The tool is not known to Handfast.",
    "too-long": "The command is longer than what is analysed.",
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
    "no-hook": "The agent ran without a hook: only its start, end and changes were seen.",
}


def kind_word(kind: str) -> str:
    """The name of a kind of handoff."""
    return KINDS.get(kind, kind.replace("_", " ").capitalize() or "Handoff")


def hazard_sentence(name: str) -> str:
    """What a hazard means; an unknown one is named, never hidden."""
    return HAZARDS.get(name, (f"Hazard `{name}`.", ""))[0]


def opaque_sentence(name: str) -> str:
    """What could not be read of a call."""
    return OPAQUE.get(name, f"Not readable: {name.replace('-', ' ')}.")
