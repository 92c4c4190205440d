"""Everything an installation can do, in one object: the engine."""

import logging
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from handfast.core.domain.errors import HandfastError
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_org import InstallationCreated, ServerStarted
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.engine.access import Access
from handfast.engine.actions import Actions
from handfast.engine.agents import Agents
from handfast.engine.audiences import Audiences
from handfast.engine.audit import Audit
from handfast.engine.brief_gate import BriefGate
from handfast.engine.bulk import Taken, Together, approve_together
from handfast.engine.calendars import Calendars
from handfast.engine.carrying import Carrying
from handfast.engine.chat import Chat
from handfast.engine.checkpoint_views import CheckpointViews
from handfast.engine.checkpoints import Checkpoints
from handfast.engine.contacts import Contacts
from handfast.engine.deadlines import sweep
from handfast.engine.directory import Directory
from handfast.engine.disabling import Disabling
from handfast.engine.edits import Edits
from handfast.engine.erasure import Erasure
from handfast.engine.federation import Federation
from handfast.engine.freezing import Freezing
from handfast.engine.grants import Grants
from handfast.engine.handoffs import Handoffs
from handfast.engine.heads import Heads
from handfast.engine.hooks import Hooks
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.keys import SigningKey
from handfast.engine.killing import KillSwitch
from handfast.engine.knowing import Knowing
from handfast.engine.limits import RunLimits
from handfast.engine.notices import Notices
from handfast.engine.outlets import outlets_of
from handfast.engine.overlaps import Overlaps
from handfast.engine.overrides import Overrides
from handfast.engine.own_tokens import OwnTokens
from handfast.engine.passkeys import Passkeys
from handfast.engine.people import People
from handfast.engine.pins import Pins
from handfast.engine.policies import Policies
from handfast.engine.progress import Progress
from handfast.engine.proving import Proving
from handfast.engine.ratings import Ratings
from handfast.engine.reading import reader
from handfast.engine.relay.deliveries import Deliveries
from handfast.engine.retention import Retain, Retention
from handfast.engine.review_edits import ReviewEdits
from handfast.engine.reviews import Reviews
from handfast.engine.runners import Runners
from handfast.engine.runs import Runs
from handfast.engine.saved_views import SavedViews
from handfast.engine.sessions import Sessions
from handfast.engine.staff import Staff
from handfast.engine.takeovers import Takeovers
from handfast.engine.tasks import Tasks
from handfast.engine.undoing import Undoing
from handfast.engine.views import Views

log = logging.getLogger("handfast.engine")


@dataclass(frozen=True, slots=True)
class Engine:
    """Commands and reads by area. Thread-safe; close it when done."""

    home: Path
    kernel: Kernel
    tasks: Tasks
    runs: Runs
    takeovers: Takeovers
    actions: Actions
    limits: RunLimits
    handoffs: Handoffs
    grants: Grants
    reviews: Reviews
    ratings: Ratings
    agents: Agents
    runners: Runners
    people: People
    access: Access
    hooks: Hooks
    policies: Policies
    directory: Directory
    audiences: Audiences
    overrides: Overrides
    calendars: Calendars
    staff: Staff
    saved_views: SavedViews
    overlaps: Overlaps
    switch: KillSwitch
    freezing: Freezing
    undoing: Undoing
    carrying: Carrying
    heads: Heads
    audit: Audit
    erasure: Erasure
    retention: Retention
    views: Views
    deliveries: Deliveries
    contacts: Contacts
    notices: Notices
    chat: Chat
    database: str = field(default="", repr=False)

    # Who people are and what they see: these keep nothing, so each is made where it is asked for.

    @property
    def knowing(self) -> Knowing:
        return Knowing(self.kernel, self.people, self.directory)

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.kernel, self.people, self.directory)

    @property
    def disabling(self) -> Disabling:
        return Disabling(self.kernel, self.staff, self.sessions)

    @property
    def own_tokens(self) -> OwnTokens:
        return OwnTokens(self.kernel)

    @property
    def federation(self) -> Federation:
        return Federation(self.kernel, self.people, self.sessions)

    @property
    def proving(self) -> Proving:
        return Proving(self.kernel, self.people, self.sessions)

    @property
    def pins(self) -> Pins:
        return Pins(self.kernel, self.proving)

    @property
    def passkeys(self) -> Passkeys:
        return Passkeys(self.kernel, self.proving)

    def sweep(self) -> int:
        """Handle what became due. Called by every server about once a second."""
        due = self.freezing.sweep() + self.checkpoints.sweep() + sweep(self.audiences)
        return due + self.notices.release()

    @property
    def checkpoints(self) -> Checkpoints:
        """What is asked together, and passes over it. It keeps nothing in memory."""
        return Checkpoints(self.audiences, self.handoffs, self.knowing)

    def approve_together(self, actor: Actor, given: Together) -> list[Taken]:
        """See `engine.bulk`."""
        return approve_together(self.kernel, self.handoffs, self.knowing, actor, given)

    @property
    def checkpoint_views(self) -> CheckpointViews:
        return CheckpointViews(self.kernel, self.people, self.views, self.checkpoints, self.knowing)

    def server_started(self, version: str) -> None:
        def work(unit: Unit) -> Result:
            unit.record(Installation, INSTALLATION_ID, [ServerStarted(version)])
            return {}

        self.kernel.run(SYSTEM, work)

    def close(self) -> None:
        try:
            self.access.refusals.flush(all_of_them=True)
        except HandfastError as e:
            log.warning("refusals that were counted are not in the log: %s", e.message)
        self.kernel.store.close()


def build(kernel: Kernel, key: SigningKey, home: Path, retain: Retain, url: str = "") -> Engine:
    """Wire the engine and make sure the installation is in its own log. `url` is the database's."""
    tasks, people, policies = Tasks(kernel), People(kernel), Policies(kernel)
    directory = Directory(kernel, policies, calendars := Calendars(home))
    audiences = Audiences(kernel, policies, directory)
    chat, outlets = Chat(audiences, policies), cache(lambda: outlets_of(home, os.environ))
    limits, read_call = RunLimits(audiences, policies), reader(home)
    edits, takeovers = Edits(audiences, policies, read_call), Takeovers(kernel, people)
    review_edits = ReviewEdits(audiences, policies, tasks, edits)
    heads, runs = Heads(kernel.store, key, home / "heads"), Runs(audiences, tasks, limits)
    _first_entry(kernel, key)
    return Engine(
        home=home,
        kernel=kernel,
        tasks=tasks,
        runs=runs,
        takeovers=takeovers,
        actions=Actions(policies, limits, audiences, BriefGate(tasks)),
        limits=limits,
        handoffs=Handoffs(audiences, limits, edits, review_edits, takeovers, chat),
        grants=Grants(audiences, edits),
        reviews=Reviews(audiences, tasks, policies),
        carrying=Carrying(audiences, policies),
        runners=Runners(kernel, runs.leasing),
        people=people,
        policies=policies,
        directory=directory,
        audiences=audiences,
        overrides=Overrides(audiences, limits),
        staff=Staff(kernel, people, policies, directory, calendars),
        calendars=calendars,
        undoing=Undoing(audiences, policies, edits, read_call),
        heads=heads,
        audit=Audit(kernel, heads, key),
        retention=Retention(kernel, retain),
        views=Views(kernel, people, tasks, limits, Progress(audiences, people)),
        deliveries=Deliveries(audiences),
        contacts=Contacts(kernel, outlets),
        notices=Notices(kernel, people, Knowing(kernel, people, directory)),
        chat=chat,
        database=url,
        ratings=Ratings(kernel),
        agents=Agents(kernel),
        access=Access(kernel),
        hooks=Hooks(kernel),
        saved_views=SavedViews(kernel),
        overlaps=Overlaps(kernel),
        switch=KillSwitch(kernel),
        freezing=Freezing(kernel),
        erasure=Erasure(kernel),
    )


def _first_entry(kernel: Kernel, key: SigningKey) -> None:
    def work(unit: Unit) -> Result:
        if unit.find(Installation, INSTALLATION_ID) is None:
            created = InstallationCreated(key.verifier.name, str(key.verifier))
            unit.record(Installation, INSTALLATION_ID, [created])
        return {}

    kernel.run(SYSTEM, work)
