"""The closed union of events, their wire names, and the envelope that is a leaf of the tree.

An event's canonical bytes are written once and never again changed. The wire name and the
schema number are the stored type; Python names may change freely. Names are in the past tense.
Content (commands, diffs, reasons, names of people) is never in an event: see `BodyRef`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, cast

from handfast.core.domain import events_checkpoint as k
from handfast.core.domain import events_control as c
from handfast.core.domain import events_handoff as h
from handfast.core.domain import events_identity as i
from handfast.core.domain import events_limits as m
from handfast.core.domain import events_notify as n
from handfast.core.domain import events_org as o
from handfast.core.domain import events_policy as p
from handfast.core.domain import events_rating as g
from handfast.core.domain import events_relay as d
from handfast.core.domain import events_runner as r
from handfast.core.domain import events_takeover as t
from handfast.core.domain import events_work as w
from handfast.core.domain.canonical import canonical_json
from handfast.core.domain.codec import decode, encode, format_time, parse_time
from handfast.core.domain.errors import IntegrityError, UsageError
from handfast.core.domain.ids import PersonId

TaskEvent: TypeAlias = (
    w.TaskCreated | w.TaskClosed | w.TaskReopened | w.TaskPartMade | w.TaskHeld | w.TaskReleased
)
RunEvent: TypeAlias = (
    w.RunCreated
    | w.RunLeased
    | w.AgentStarted
    | w.RunPaused
    | w.RunReady
    | w.RunReleased
    | w.AgentExited
    | w.AgentNeverStarted
    | w.RunEnded
    | w.StepJudged
    | w.StepFinished
    | w.CoverageGap
    | m.UsageReported
    | m.LimitWarned
    | m.LimitReached
    | m.LimitRaised
    | m.LimitUpheld
    | t.RunTakenOver
    | t.RunHandedOver
    | t.RunHandedBack
    | t.PersonsWorkRecorded
)
HandoffEvent: TypeAlias = (
    h.HandoffRequested
    | h.HandoffReturned
    | k.HandoffDeferred
    | h.HandoffRouted
    | h.LevelTimedOut
    | h.HandoffAcknowledged
    | h.HandoffReleased
    | h.HandoffRerouted
    | h.HandoffSnoozed
    | h.HandoffFrozen
    | h.HandoffThawed
    | h.HandoffViewed
    | h.HandoffCommented
    | g.HandoffRated
    | g.HandoffAttended
    | h.HandoffVoted
    | h.HandoffUnvoted
    | h.HandoffEdited
    | h.HandoffOverridden
    | h.HandoffAutoProceeded
    | h.HandoffDecided
    | h.GrantMinted
    | h.GrantRedeemed
    | h.GrantRefused
    | h.GrantExpired
    | h.GrantRevoked
    | h.GrantReopened
    | h.HandoffCarriedOver
    | h.EffectRecorded
    | h.HandoffClosed
    | h.HandoffSuperseded
    | h.HandoffWithdrawn
    | h.HandoffExpired
)
AgentEvent: TypeAlias = (
    o.AgentRegistered
    | o.AgentTokenIssued
    | o.AgentTokenRevoked
    | o.AgentSuspended
    | o.AgentReinstated
)
TrackEvent: TypeAlias = m.RunMeasured
PersonEvent: TypeAlias = (
    o.PersonAdded
    | o.CredentialSet
    | o.SignedIn
    | o.SignedOut
    | c.RolesSet
    | c.AwaySet
    | c.AwayEnded
    | i.IdentityEvent
    | c.ViewsSet
)
InstallationEvent: TypeAlias = (
    o.InstallationCreated
    | o.ServerStarted
    | o.HookInstalled
    | o.HookModeSet
    | o.HookPaused
    | o.HookResumed
    | o.AccessRefused
    | o.PersonInvited
    | o.BodyErased
    | o.BodiesErased
    | o.TreeHeadPublished
    | o.BundleExported
    | c.ControlKilled
    | c.ControlReleased
    | c.RotationCovered
)
RunnerEvent: TypeAlias = (
    r.RunnerAdded | r.RunnerTokenIssued | r.RunnerStarted | r.RunnerStopped | r.RunnerRetired
)
PolicyEvent: TypeAlias = p.PolicyProposed | p.PolicyPublished | p.PolicyDeclined
TopicEvent: TypeAlias = d.DeliveryDeadLettered | d.DeliveryRetried
ProjectEvent: TypeAlias = i.ProjectSet
CheckpointEvent: TypeAlias = k.CheckpointOpened | k.CheckpointJoined
ReachEvent: TypeAlias = (
    n.ContactAdded | n.ContactChanged | n.ContactRemoved | n.SecretRotated | n.QuietSet
)
NoticeEvent: TypeAlias = (
    n.NoticePlanned
    | n.NoticeReleased
    | n.NoticeDelivered
    | n.NoticeFailed
    | n.NoticeDropped
    | n.NoticeOpened
)
Event: TypeAlias = (
    TaskEvent
    | RunEvent
    | HandoffEvent
    | AgentEvent
    | TrackEvent
    | PersonEvent
    | InstallationEvent
    | PolicyEvent
    | RunnerEvent
    | TopicEvent
    | ProjectEvent
    | CheckpointEvent
    | ReachEvent
    | NoticeEvent
)

WIRE: dict[str, type[Event]] = {
    "task.created": w.TaskCreated,
    "task.closed": w.TaskClosed,
    "task.reopened": w.TaskReopened,
    "task.part_made": w.TaskPartMade,
    "task.held": w.TaskHeld,
    "task.released": w.TaskReleased,
    "run.created": w.RunCreated,
    "run.leased": w.RunLeased,
    "run.agent_started": w.AgentStarted,
    "run.paused": w.RunPaused,
    "run.ready": w.RunReady,
    "run.released": w.RunReleased,
    "run.agent_exited": w.AgentExited,
    "run.agent_never_started": w.AgentNeverStarted,
    "run.ended": w.RunEnded,
    "step.judged": w.StepJudged,
    "step.finished": w.StepFinished,
    "coverage.gap": w.CoverageGap,
    "run.usage_reported": m.UsageReported,
    "run.limit_warned": m.LimitWarned,
    "run.limit_reached": m.LimitReached,
    "run.limit_raised": m.LimitRaised,
    "run.limit_upheld": m.LimitUpheld,
    "run.taken_over": t.RunTakenOver,
    "run.handed_over": t.RunHandedOver,
    "run.handed_back": t.RunHandedBack,
    "run.persons_work_recorded": t.PersonsWorkRecorded,
    "handoff.requested": h.HandoffRequested,
    "handoff.returned": h.HandoffReturned,
    "handoff.deferred": k.HandoffDeferred,
    "handoff.routed": h.HandoffRouted,
    "handoff.level_timed_out": h.LevelTimedOut,
    "handoff.acknowledged": h.HandoffAcknowledged,
    "handoff.released": h.HandoffReleased,
    "handoff.rerouted": h.HandoffRerouted,
    "handoff.snoozed": h.HandoffSnoozed,
    "handoff.frozen": h.HandoffFrozen,
    "handoff.thawed": h.HandoffThawed,
    "handoff.viewed": h.HandoffViewed,
    "handoff.commented": h.HandoffCommented,
    "handoff.rated": g.HandoffRated,
    "handoff.attended": g.HandoffAttended,
    "handoff.voted": h.HandoffVoted,
    "handoff.unvoted": h.HandoffUnvoted,
    "handoff.edited": h.HandoffEdited,
    "handoff.overridden": h.HandoffOverridden,
    "handoff.auto_proceeded": h.HandoffAutoProceeded,
    "handoff.decided": h.HandoffDecided,
    "grant.minted": h.GrantMinted,
    "grant.redeemed": h.GrantRedeemed,
    "grant.refused": h.GrantRefused,
    "grant.expired": h.GrantExpired,
    "grant.revoked": h.GrantRevoked,
    "grant.reopened": h.GrantReopened,
    "handoff.carried_over": h.HandoffCarriedOver,
    "effect.recorded": h.EffectRecorded,
    "handoff.closed": h.HandoffClosed,
    "handoff.superseded": h.HandoffSuperseded,
    "handoff.withdrawn": h.HandoffWithdrawn,
    "handoff.expired": h.HandoffExpired,
    "agent.registered": o.AgentRegistered,
    "agent.token_issued": o.AgentTokenIssued,
    "agent.token_revoked": o.AgentTokenRevoked,
    "agent.suspended": o.AgentSuspended,
    "agent.reinstated": o.AgentReinstated,
    "agent.run_measured": m.RunMeasured,
    "person.added": o.PersonAdded,
    "person.invited": o.PersonInvited,
    "person.credential_set": o.CredentialSet,
    "person.signed_in": o.SignedIn,
    "person.signed_out": o.SignedOut,
    "person.roles_set": c.RolesSet,
    "person.away_set": c.AwaySet,
    "person.away_ended": c.AwayEnded,
    "person.token_issued": i.PersonTokenIssued,
    "person.token_revoked": i.PersonTokenRevoked,
    "person.teams_set": i.TeamsSet,
    "person.account_linked": i.AccountLinked,
    "person.account_unlinked": i.AccountUnlinked,
    "person.passkey_added": i.PasskeyAdded,
    "person.passkey_removed": i.PasskeyRemoved,
    "person.disabled": i.PersonDisabled,
    "person.enabled": i.PersonEnabled,
    "project.set": i.ProjectSet,
    "person.views_set": c.ViewsSet,
    "control.killed": c.ControlKilled,
    "control.released": c.ControlReleased,
    "rotation.covered": c.RotationCovered,
    "installation.created": o.InstallationCreated,
    "server.started": o.ServerStarted,
    "hook.installed": o.HookInstalled,
    "hook.mode_set": o.HookModeSet,
    "hook.paused": o.HookPaused,
    "hook.resumed": o.HookResumed,
    "access.refused": o.AccessRefused,
    "body.erased": o.BodyErased,
    "bodies.erased": o.BodiesErased,
    "tree_head.published": o.TreeHeadPublished,
    "bundle.exported": o.BundleExported,
    "policy.proposed": p.PolicyProposed,
    "policy.published": p.PolicyPublished,
    "policy.declined": p.PolicyDeclined,
    "runner.added": r.RunnerAdded,
    "runner.token_issued": r.RunnerTokenIssued,
    "runner.started": r.RunnerStarted,
    "runner.stopped": r.RunnerStopped,
    "runner.retired": r.RunnerRetired,
    "delivery.dead_lettered": d.DeliveryDeadLettered,
    "delivery.retried": d.DeliveryRetried,
    "checkpoint.opened": k.CheckpointOpened,
    "checkpoint.joined": k.CheckpointJoined,
    "contact.added": n.ContactAdded,
    "contact.changed": n.ContactChanged,
    "contact.removed": n.ContactRemoved,
    "contact.secret_rotated": n.SecretRotated,
    "contact.quiet_set": n.QuietSet,
    "notice.planned": n.NoticePlanned,
    "notice.released": n.NoticeReleased,
    "notice.delivered": n.NoticeDelivered,
    "notice.failed": n.NoticeFailed,
    "notice.dropped": n.NoticeDropped,
    "notice.opened": n.NoticeOpened,
}
NAMES: dict[type, str] = {cls: name for name, cls in WIRE.items()}

SCHEMA = 1
MAX_EVENT_BYTES = 65_536
"""A verifier refuses longer entries, so none is written. Content belongs into a body."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who caused an event. `auth` says how they proved it: `browser`, `pin`, `token`, `system`."""

    type: str
    id: str = ""
    auth: str = ""

    @property
    def person(self) -> PersonId:
        """Their id, '' when no person is behind it."""
        return PersonId(self.id if self.type == "person" else "")


SYSTEM = Actor("system", "handfast", "system")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event in its envelope. `version` counts its stream from 1."""

    id: str
    stream: str
    version: int
    at: datetime
    actor: Actor
    event: Event
    key: str = ""
    on_behalf_of: str = ""

    @property
    def type(self) -> str:
        return NAMES[type(self.event)]


def to_bytes(r: Recorded, write: Callable[[object], bytes] = canonical_json) -> bytes:
    """The canonical bytes: the leaf of the tree. `from_bytes` is the inverse.

    `write` gives the bytes `canonical_json` would; the engine has a faster one. Raises UsageError above 65,536 bytes and for values that have no canonical form.
    """
    envelope: dict[str, object] = {
        "id": r.id,
        "type": NAMES[type(r.event)],
        "schema": SCHEMA,
        "stream": r.stream,
        "version": r.version,
        "at": format_time(r.at),
        "actor": encode(r.actor),
        "data": encode(r.event),
    }
    if r.key:
        envelope["key"] = r.key
    if r.on_behalf_of:
        envelope["on_behalf_of"] = r.on_behalf_of
    data = write(envelope)
    if len(data) > MAX_EVENT_BYTES:
        raise UsageError(
            f"a `{envelope['type']}` event has {len(data)} bytes; at most {MAX_EVENT_BYTES} are taken",
            hint="Shorten what was sent: long text belongs into a body.",
        )
    return data


_ENVELOPE = frozenset({"id", "type", "schema", "stream", "version", "at", "actor", "data"})
_OPTIONAL = frozenset({"key", "on_behalf_of"})


def from_bytes(data: bytes) -> Recorded:
    """Raises IntegrityError for an unknown type, a newer schema or data that does not fit."""
    try:
        e = cast("dict[str, object]", json.loads(data))
        name, schema = cast("str", e["type"]), cast("int", e["schema"])
        if not 1 <= schema <= SCHEMA or name not in WIRE:
            raise IntegrityError(
                f"event type `{name}` of schema {schema} is not known to this version",
                hint="Read this log with the version of Handfast that wrote it, or a newer one.",
            )
        if not _ENVELOPE <= e.keys() <= _ENVELOPE | _OPTIONAL:
            raise ValueError(f"fields {sorted(e)}")
        key, on_behalf_of = e.get("key", ""), e.get("on_behalf_of", "")
        if any(type(x) is not str for x in (e["id"], e["stream"], key, on_behalf_of)):
            raise TypeError("a name is not text")
        if type(e["version"]) is not int:
            raise TypeError("the version is not a number")
        return Recorded(
            id=cast("str", e["id"]),
            stream=cast("str", e["stream"]),
            version=e["version"],
            at=parse_time(cast("str", e["at"])),
            actor=decode(Actor, cast("dict[str, object]", e["actor"])),
            event=decode(WIRE[name], cast("dict[str, object]", e["data"])),
            key=cast("str", key),
            on_behalf_of=cast("str", on_behalf_of),
        )
    except (KeyError, TypeError, ValueError) as err:
        raise IntegrityError(f"an event's bytes cannot be read: {err!r}") from None
