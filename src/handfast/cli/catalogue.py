"""Every command in one table: its words, where its function is, what it does in one line.

The overview that `handfast --help` prints is drawn from the table alone: no parser is loaded for it.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    """`target` is `module:name` below `handfast.cli`, imported when the command runs.

    `name` is the second word; '' for a command that stands alone or is its group's default.
    """

    group: str
    name: str
    target: str
    does: str

    @property
    def words(self) -> str:
        return f"{self.group} {self.name}".strip()


# Nouns, in the order of the overview.
GROUPS: Final = {
    "inbox": "What waits for a person.",
    "handoff": "Look at a handoff and decide it.",
    "checkpoint": "What is asked together.",
    "run": "Give work to an agent, and look at runs.",
    "task": "Look at delegated work.",
    "bodies": "What content is kept, and its erasure.",
    "brief": "Write and check briefs.",
    "agent": "Register agents and manage their tokens.",
    "hook": "The hook in an agent's harness.",
    "exec": "Run an approved action.",
    "grant": "What an approval still permits.",
    "undo": "Take back what ran.",
    "policy": "Rules: check, try, simulate and publish them.",
    "kill": "Stop agents at once.",
    "person": "People and their roles.",
    "project": "Who may know of what.",
    "oncall": "Who is on call.",
    "audit": "Prove the log, or take it elsewhere.",
    "db": "The database: upgrade, check, back up, restore, move.",
    "relay": "What leaves the server.",
    "notify": "How you are told of what waits.",
    "serve": "Server and runner.",
    "runner": "Runners on other machines.",
    "doctor": "Check this installation.",
    "demo": "See it work.",
}

COMMANDS: Final = (
    Entry("inbox", "", "inbox:inbox", "List the handoffs that wait, most pressing first."),
    Entry("handoff", "list", "handoff:list_handoffs", "List handoffs by status, run or task."),
    Entry("handoff", "show", "handoff:show", "Show one handoff with all its facts."),
    Entry("handoff", "changes", "handoff:changes", "Print the whole diff, however large."),
    Entry("handoff", "approve", "decide:approve", "Let exactly this action happen."),
    Entry("handoff", "reject", "decide:reject", "Refuse it, with a reason."),
    Entry("handoff", "request-changes", "decide:request_changes", "Send it back with feedback."),
    Entry("handoff", "answer", "decide:answer", "Answer the open question."),
    Entry("handoff", "acknowledge", "decide:acknowledge", "Say 'I have it'."),
    Entry("handoff", "release", "routing:release", "Give back what you acknowledged."),
    Entry("handoff", "route", "routing:route", "Ask somebody else, with a reason."),
    Entry("handoff", "snooze", "routing:snooze", "Hide it from your inbox for a while."),
    Entry("handoff", "unvote", "routing:unvote", "Take back your approval."),
    Entry("handoff", "override", "routing:override", "Emergency: approve alone, reviewed later."),
    Entry("handoff", "rate", "rating:rate", "Say whether the package was enough to decide."),
    Entry("handoff", "comment", "decide:comment", "Add a comment; decides nothing."),
    Entry(
        "checkpoint", "list", "checkpoint:list_checkpoints", "List what waits to be asked together."
    ),
    Entry("checkpoint", "show", "checkpoint:show", "Show what was asked together, and why then."),
    Entry("checkpoint", "open", "checkpoint:open_now", "Ask now what waits; asks for your PIN."),
    Entry("checkpoint", "approve", "checkpoint:approve", "Approve in one pass; asks for your PIN."),
    Entry("run", "", "run:app", "Start an agent on a brief, in a worktree of its own."),
    Entry("run", "list", "run:list_runs", "List runs, newest first."),
    Entry("run", "show", "run:show", "Show a run and its steps."),
    Entry("run", "take-over", "takeover:take_over", "Stop the agent; its worktree is yours."),
    Entry("run", "hand-back", "takeover:hand_back", "Give it back; the agent hears what changed."),
    Entry("run", "replay", "run:replay", "Fold a run's log again and compare with what is stored."),
    Entry("task", "add", "task:add", "Make a task, or a part of one, with its brief."),
    Entry("task", "list", "task:list_tasks", "List tasks, newest first."),
    Entry("task", "show", "task:show", "Show a task with its brief and runs."),
    Entry("task", "hold", "bodies:hold", "Legal hold: nothing of a task is erased."),
    Entry("task", "release", "bodies:release", "End a legal hold."),
    Entry("bodies", "list", "bodies:list_bodies", "Show how much content a task left, by kind."),
    Entry("bodies", "erase", "bodies:erase", "Erase a task's content for good; asks for your PIN."),
    Entry("brief", "check", "brief:check", "Check a brief and print it as understood."),
    Entry("brief", "new", "brief:new", "Write a commented template of a brief."),
    Entry("agent", "add", "agent:add", "Register an agent."),
    Entry("agent", "list", "agent:list_agents", "List the registered agents."),
    Entry("agent", "token", "agent:token", "Issue a token; it is shown once."),
    Entry("agent", "suspend", "agent:suspend", "Deny all that an agent asks from now on."),
    Entry("agent", "reinstate", "agent:reinstate", "End a suspension."),
    Entry("agent", "revoke", "agent:revoke", "Make one token invalid."),
    Entry("hook", "install", "hook:install", "Put the hook into an agent's settings."),
    Entry("hook", "uninstall", "hook:uninstall", "Take the hook out again."),
    Entry("hook", "status", "hook:status", "Show mode, pause and where the hook is installed."),
    Entry("hook", "pause", "hook:pause", "Let everything through for a while; asks for your PIN."),
    Entry("hook", "resume", "hook:resume", "End a pause early."),
    Entry("hook", "mode", "hook:mode", "Switch between observe and enforce."),
    Entry("exec", "", "execute:execute", "Run the action a grant permits, exactly once."),
    Entry("grant", "revoke", "grant:revoke", "Take back what an approval still permits."),
    Entry("undo", "", "undo:undo", "Ask for the declared undo of what ran."),
    Entry(
        "policy", "check", "policy:check", "Check a policy file: line and column of each problem."
    ),
    Entry(
        "policy",
        "explain",
        "policy_try:explain",
        "Say what the policy makes of an action, and why.",
    ),
    Entry("policy", "test", "policy_try:examples_hold", "Run the examples kept beside a policy."),
    Entry(
        "policy",
        "simulate",
        "policy_simulate:simulate",
        "Judge recorded actions by a changed policy.",
    ),
    Entry("policy", "diff", "policy:diff", "Compare a policy with the one in force."),
    Entry("policy", "publish", "policy:publish", "Propose a policy; asks for your PIN."),
    Entry("policy", "approve", "policy:approve", "Put another person's proposal into force."),
    Entry("policy", "decline", "policy:decline", "Refuse a proposal, or take your own back."),
    Entry("policy", "show", "policy:show", "Print the policy in force, or the proposed one."),
    Entry(
        "policy", "list", "policy:list_policies", "List what is in force and proposed, by scope."
    ),
    Entry("policy", "facts", "policy_facts:facts", "Say what commands do, one answer a line."),
    Entry(
        "policy", "decide", "policy_try:decide", "Judge actions, one answer a line, for scripts."
    ),
    Entry("kill", "all", "kill:everything", "Stop every agent; asks for your PIN."),
    Entry("kill", "team", "kill:team", "Stop the agents of a team."),
    Entry("kill", "agent", "kill:agent", "Stop one agent."),
    Entry("kill", "release", "kill:release", "Let go of what is stopped, a stage at a time."),
    Entry("kill", "status", "kill:status", "Show what is stopped, by whom and why."),
    Entry("person", "list", "people:list_people", "List the people who are set up."),
    Entry("person", "invite", "people:invite", "Make a one-time link for one more person."),
    Entry("person", "roles", "people:roles", "Give a person other roles."),
    Entry("person", "disable", "people:disable", "Close a person's account; nothing acts as them."),
    Entry("person", "enable", "people:enable", "Open an account again that was disabled."),
    Entry("person", "away", "people:away", "Say that you are away, and who is asked instead."),
    Entry("person", "sign-out", "project:sign_out", "End all sessions and tokens of a person."),
    Entry("project", "list", "project:list_projects", "List the projects and their members."),
    Entry("project", "set", "project:set_project", "Make a project, or replace all of it."),
    Entry("project", "remove", "project:remove", "Take a project away; admins see what it had."),
    Entry("oncall", "show", "people:show_on_call", "Show who is on call, until when."),
    Entry("oncall", "override", "people:override", "Put somebody on call for a while."),
    Entry("audit", "verify", "audit:verify", "Verify an exported bundle, offline."),
    Entry("audit", "export", "audit:export", "Write the whole log into one bundle."),
    Entry("audit", "head", "audit:head", "Print a signed tree head: keep it elsewhere."),
    Entry("audit", "key", "audit:key", "Print the public key that heads are signed with."),
    Entry("db", "upgrade", "db:upgrade", "Bring the database to the schema of this version."),
    Entry("db", "check", "db:check", "Check the whole database, online."),
    Entry("db", "backup", "db_copies:backup", "Write the whole database to one file, online."),
    Entry("db", "restore", "db_copies:restore", "Put a backup into an empty database."),
    Entry("db", "move", "db_copies:move", "Copy the database to PostgreSQL, or back, with proof."),
    Entry("relay", "status", "relay:status", "Count what waits to be delivered, by topic."),
    Entry("relay", "dead", "relay:dead", "List the deliveries that were given up."),
    Entry("relay", "retry", "relay:retry", "Try a delivery again that was given up."),
    Entry("notify", "show", "notify:show", "Show your contacts, quiet hours and digest."),
    Entry("notify", "add", "notify:add", "Add an e-mail address, a webhook or a service."),
    Entry("notify", "change", "notify:change", "Change what goes to a contact."),
    Entry("notify", "remove", "notify:remove", "Remove a contact; its address is erased."),
    Entry("notify", "rotate", "notify:rotate", "Give a webhook a new secret."),
    Entry("notify", "quiet", "notify:quiet", "Set your quiet hours and digest."),
    Entry("notify", "slack", "notify:slack", "Get a code that links your Slack account."),
    Entry("notify", "test", "notify:send_test", "Send a test and wait for what comes of it."),
    Entry("notify", "status", "notify:status", "Show who was told of a handoff."),
    Entry("serve", "", "serve:serve", "Run the server, the pages and the runner."),
    Entry("runner", "", "runner:app", "Run only the runner, for a server elsewhere."),
    Entry("runner", "add", "runner:add", "Register a runner; its token is shown once."),
    Entry("runner", "list", "runner:list_runners", "List runners and the runs they hold."),
    Entry("runner", "token", "runner:issue", "Issue a runner another token."),
    Entry("runner", "retire", "runner:retire", "Refuse a runner from now on."),
    Entry("doctor", "", "doctor:doctor", "Prove that the hook stops what it should."),
    Entry("demo", "", "demo:demo", "Watch an example agent stop, wait and go on."),
)


def overview() -> str:
    """The text of `handfast --help`."""
    width = max(len(e.words) for e in COMMANDS)
    lines = [
        "Usage: handfast COMMAND [OPTIONS]",
        "",
        "Handoff control plane for software-engineering agents.",
        "",
    ]
    for group in GROUPS:
        lines += [f"  {e.words:<{width}}  {e.does}" for e in COMMANDS if e.group == group]
    lines += [
        "",
        "Every command takes --json and --help. Data folder: HANDFAST_HOME.",
        "Exit codes: 2 usage, 3 refused, 4 not permitted, 5 storage, 6 integrity, 7 third party.",
    ]
    return "\n".join(lines)
