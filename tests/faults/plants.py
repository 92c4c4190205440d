"""Bugs, planted in the product of one process: the checker must see each.

Code that runs in the server's process before it starts, as if somebody had changed the source so.
"""

ACKNOWLEDGED_BEFORE_THE_COMMIT = """
import threading
from handfast.storage.api import Committed
from handfast.storage.sql.store import SqlStore
real = SqlStore.commit

def commit(self, write):
    if any(e.type == "handoff.decided" for a in write.appends for e in a.events):
        threading.Timer(30, real, (self, write)).start()
        return Committed(self.size() + 1)
    return real(self, write)

SqlStore.commit = commit
"""

A_GRANT_REDEEMED_TWICE = """
from dataclasses import replace
from handfast.core.domain import handoff_commands
from handfast.core.domain.handoff import GrantStatus
real = handoff_commands.redeem

def redeem(state, command, now):
    return real(replace(state, grant=replace(state.grant, status=GrantStatus.MINTED)), command, now)

handoff_commands.redeem = redeem
"""

AN_EFFECT_SWALLOWED = """
from handfast.engine.grants import Grants

def effect(self, actor, report):
    return {"handoff_id": report.handoff_id, "outcome": report.outcome.value}

Grants.effect = effect
"""

A_HEAD_SIGNED_BEFORE_THE_COMMIT = """
from handfast.core.audit.note import sign_checkpoint
from handfast.core.audit.tree import Frontier
from handfast.engine.heads import Heads
from handfast.storage.api import TreeHead
from handfast.storage.sql.store import SqlStore
signers, real_init, real_commit = [], Heads.__init__, SqlStore.commit

def init(self, store, key, folder):
    real_init(self, store, key, folder)
    signers.append(self)

def commit(self, write):
    leaves = [e.leaf for a in write.appends for e in a.events]
    if leaves and signers:
        heads = signers[0]
        grown, _ = Frontier.from_bytes(self.frontier()).extend(leaves)
        key = heads._key.verifier
        note = sign_checkpoint(key.name, grown.size, grown.root(), key, heads._key.sign)
        heads._publish(TreeHead(grown.size, note))
    return real_commit(self, write)

Heads.__init__, SqlStore.commit = init, commit
"""

A_PROJECTION_LEFT_BEHIND = """
from dataclasses import replace
from handfast.engine import kernel
real, before = kernel.row_of, {}

def row_of(kind, stream, version, state):
    row = real(kind, stream, version, state)
    if row.status == "closed":
        return replace(before[stream], version=version)
    before[stream] = row
    return row

kernel.row_of = row_of
"""

A_DECISION_OVERWRITTEN = """
from dataclasses import replace
from handfast.core.domain import handoff_votes
from handfast.core.domain.handoff import Status
real = handoff_votes.decide

def decide(state, command, now):
    return real(replace(state, status=Status.ROUTED, decision=None, grant=None), command, now)

handoff_votes.decide = decide
"""

AN_OUTBOX_ROW_LOST = """
from handfast.engine.kernel import Unit
Unit.post = lambda self, topic, payload: None
"""

AN_UNKNOWN_EFFECT_TAKEN_FOR_NONE = """
from handfast.engine import deadlines
from handfast.core.domain import handoff_commands
from handfast.core.domain.events_handoff import EffectOutcome

def settle_unknown(audiences, unit, handoff, note):
    none = handoff_commands.Settle(handoff.grant.start_id, EffectOutcome.NONE, note=note)
    unit.record(type(handoff), handoff.handoff_id, handoff_commands.settle(handoff, none))
    return handoff

deadlines.settle_unknown = settle_unknown
"""
