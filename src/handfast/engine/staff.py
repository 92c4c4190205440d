"""People as an organisation: their roles, when they are away, and who covers a rotation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from handfast.core.domain.codec import format_time
from handfast.core.domain.control import MAY_KILL, MAY_RELEASE
from handfast.core.domain.errors import InvalidTransition, NotFound, NotPermitted, UsageError
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_control import AwayEnded, AwaySet, RolesSet, RotationCovered
from handfast.core.domain.ids import PersonId
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.core.domain.person import ROLES, Person
from handfast.core.domain.publication import ORGANISATION
from handfast.core.policy.directory import Calendar, Roster, Weekly
from handfast.engine.calendars import Calendars
from handfast.engine.directory import Directory
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.people import People, signed_in
from handfast.engine.policies import Policies

MAX_AWAY, MAX_COVER = timedelta(days=366), timedelta(days=92)
MAX_PLANNED = 50
MAX_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Absence:
    """`login` '' is the person who says so. `delegate` is a login, '' for nobody."""

    starts: datetime
    ends: datetime
    login: str = ""
    delegate: str = ""


@dataclass(frozen=True, slots=True)
class Cover:
    """`login` is on call for `rotation`; '' takes a cover of that time back."""

    rotation: str
    login: str
    starts: datetime
    ends: datetime
    reason: str = ""


class Staff:
    """All calls are atomic. Changes are a signed-in person's."""

    def __init__(
        self,
        kernel: Kernel,
        people: People,
        policies: Policies,
        directory: Directory,
        calendars: Calendars,
    ) -> None:
        self._kernel = kernel
        self._people = people
        self._policies = policies
        self._directory = directory
        self._calendars = calendars

    # -- people

    def everybody(self) -> list[Result]:
        """Everybody who is set up, oldest first: person_id, name, roles, added_at, away, delegate, disabled_at."""
        now = self._kernel.clock.now()
        return [self.shown(p, now) for p in self._directory.everybody()]

    def set_roles(self, actor: Actor, login: str, roles: Sequence[str]) -> Result:
        """Other roles for a person; an admin's to do. What they decided before stays decided.

        Raises NotPermitted, NotFound, UsageError, and InvalidTransition for the last admin's own role.
        """
        wanted = tuple(sorted(set(roles)))
        if not wanted or not set(wanted) <= set(ROLES):
            raise UsageError(
                f"`roles` is {', '.join(roles) or 'empty'}", hint=f"Of: {', '.join(ROLES)}."
            )

        def work(unit: Unit) -> Result:
            admin = signed_in(unit, actor, frozenset({"admin"}))
            person = self.named(unit, login)
            if person.disabled_at is not None:
                raise InvalidTransition("this person is disabled", hint="Enable them first.")
            if "admin" in person.roles and "admin" not in wanted:
                self.check_another_admin(unit, person.person_id)
            if person.roles != wanted:
                event = RolesSet(person.person_id, wanted, admin.person_id)
                unit.record(Person, person.person_id, [event])
            return self.shown(unit.get(Person, person.person_id), unit.now)

        return self._kernel.run(actor, work)

    def check_another_admin(self, unit: Unit, person_id: PersonId) -> None:
        """Raises InvalidTransition for the last one. Two admins who take each other's role at once must not
        both succeed."""
        for other in self._directory.everybody():
            if other.person_id != person_id:
                unit.rely_on(Person, other.person_id)
                if "admin" in unit.get(Person, other.person_id).roles:
                    return
        raise InvalidTransition(
            "this is the last admin", hint="Give another person the admin role first."
        )

    # -- away

    def away(self, actor: Actor, a: Absence) -> Result:
        """Nobody is asked while away; the delegate is asked instead. Ends by itself.

        Raises NotPermitted for somebody else's absence unless by an admin, NotFound, UsageError.
        """
        _check_times(a.starts, a.ends, self._kernel.clock.now(), MAX_AWAY)

        def work(unit: Unit) -> Result:
            by, person = self._whose(unit, actor, a.login)
            if len(person.absences) >= MAX_PLANNED:
                raise UsageError(f"{MAX_PLANNED} absences are planned already", hint="Use --back.")
            delegate = self.named(unit, a.delegate) if a.delegate else None
            if delegate is not None and delegate.person_id == person.person_id:
                raise UsageError("nobody is their own `delegate`")
            if delegate is not None and delegate.person_id == by.person_id:
                raise NotPermitted("nobody makes themselves the delegate of somebody else")
            if delegate is not None and not delegate.may_decide:
                raise UsageError(
                    f"`{a.delegate}` may not decide", hint="A delegate is a reviewer or an admin."
                )
            event = AwaySet(
                person.person_id,
                a.starts,
                a.ends,
                by.person_id,
                delegate.person_id if delegate else PersonId(""),
            )
            unit.record(Person, person.person_id, [event])
            return self.shown(unit.get(Person, person.person_id), unit.now)

        return self._kernel.run(actor, work)

    def back(self, actor: Actor, login: str = "") -> Result:
        """End every absence, planned ones too. Idempotent."""

        def work(unit: Unit) -> Result:
            by, person = self._whose(unit, actor, login)
            if person.absences:
                event = AwayEnded(person.person_id, by.person_id)
                unit.record(Person, person.person_id, [event])
            return self.shown(unit.get(Person, person.person_id), unit.now)

        return self._kernel.run(actor, work)

    def _whose(self, unit: Unit, actor: Actor, login: str) -> tuple[Person, Person]:
        """Who speaks, and whom it is about."""
        by = signed_in(unit, actor, frozenset(ROLES))
        person = self.named(unit, login) if login else by
        if person.person_id != by.person_id and "admin" not in by.roles:
            raise NotPermitted(
                "only an admin says when somebody else is away", hint="Ask them or an admin."
            )
        return by, person

    # -- on call

    def cover(self, actor: Actor, c: Cover) -> list[Result]:
        """Somebody is on call for a while, whoever's turn it is. Gives who is on call now.

        Those who take turns may stand in for each other. Somebody else is put on call by another person,
        an operator or admin: nobody makes themselves one who counts. Raises NotPermitted, NotFound for a rotation or a person there is none of, UsageError.
        """
        _check_times(c.starts, c.ends, self._kernel.clock.now(), MAX_COVER)
        found = [r.rotations[c.rotation] for _, r in self._rosters() if c.rotation in r.rotations]
        if not found:
            raise NotFound(
                f"there is no rotation `{c.rotation[:64]}`",
                hint="`handfast oncall show` lists them.",
            )

        def work(unit: Unit) -> Result:
            by = signed_in(unit, actor, MAY_KILL)
            person = self.named(unit, c.login) if c.login else None
            turns = {login for r in found if isinstance(r, Weekly) for login in r.people}
            if person is not None and c.login.strip().lower() not in turns:
                _check_outsider(by, person)
            if person is not None and not person.may_decide:
                raise UsageError(
                    f"`{c.login}` may not decide", hint="Who is on call is a reviewer or an admin."
                )
            state = unit.get(Installation, INSTALLATION_ID)
            if sum(x.ends > unit.now for x in state.covers) >= MAX_PLANNED * 4:
                raise UsageError("too many covers are planned already")
            event = RotationCovered(
                c.rotation,
                person.person_id if person else PersonId(""),
                c.starts,
                c.ends,
                by.person_id,
                unit.put(c.reason.strip()[:MAX_REASON]) if c.reason.strip() else None,
            )
            unit.record(Installation, INSTALLATION_ID, [event])
            return {}

        self._kernel.run(actor, work)
        return self.on_call()

    def on_call(self) -> list[Result]:
        """Every rotation of every policy in force, with who is on call now and until when.

        A calendar comes with `fetched_at` ('' without a copy) and `problem`. `people` are names, `logins`
        what the policy or the calendar says.
        """
        unit = Unit(self._kernel, SYSTEM, "")
        found = [
            self._rotation(unit, scope, roster, name)
            for scope, roster in self._rosters()
            for name in sorted(roster.rotations)
        ]
        state = unit.get(Installation, INSTALLATION_ID)
        for each in found:
            each["planned"] = [
                {
                    "name": self._people.name(c.person_id) if c.person_id else "",
                    "starts": format_time(c.starts),
                    "ends": format_time(c.ends),
                }
                for c in state.covers
                if c.rotation == each["rotation"] and c.ends > unit.now
            ]
        return found

    def calendars(self) -> list[Calendar]:
        """Every calendar of every policy in force, once."""
        found = {
            rotation.source: rotation
            for _, roster in self._rosters()
            for rotation in roster.rotations.values()
            if isinstance(rotation, Calendar)
        }
        return list(found.values())

    def _rosters(self) -> list[tuple[str, Roster]]:
        """Per scope, what that scope's own policy adds."""
        unit = Unit(self._kernel, SYSTEM, "")
        scopes = [str(s["scope"]) for s in self._policies.list() if s["in_force"]]
        found: list[tuple[str, Roster]] = []
        for scope in scopes:
            books = self._policies.in_force(unit, "" if scope == ORGANISATION else scope).books
            if books:
                found.append((scope, books[-1].policy.roster))
        return found

    def _rotation(self, unit: Unit, scope: str, roster: Roster, name: str) -> Result:
        on_call = self._directory.on_call(unit, roster, name, unit.now)
        rotation = roster.rotations[name]
        known = [p.person_id for p in on_call.people if p.may_decide]
        shown: Result = {
            "rotation": name,
            "scope": scope,
            "via": on_call.via,
            "person_ids": [*known],
            "people": [self._people.name(p) for p in known],
            "logins": list(on_call.logins),
            "until": format_time(on_call.until) if on_call.until else "",
            "calendar": "",
            "fetched_at": "",
            "problem": "",
        }
        if isinstance(rotation, Calendar):
            copy = self._calendars.copy(rotation.source)
            shown |= {
                "calendar": rotation.source,
                "fetched_at": format_time(copy.fetched_at) if copy.fetched_at else "",
                "problem": copy.problem,
            }
        return shown

    def named(self, unit: Unit, login: str) -> Person:
        """By their id, or else by their login: nobody is meant by taking another's id for a login."""
        by_id = unit.find(Person, login) if login.startswith("pe_") else None
        found = by_id or self._directory.by_login(unit, login)
        if found is None:
            raise NotFound(
                f"nobody has the login `{login[:64]}`", hint="Logins are those used to sign in."
            )
        unit.rely_on(Person, found.person_id)
        return found

    def shown(self, p: Person, now: datetime) -> Result:
        away = p.away(now)
        planned = [a for a in p.absences if a.ends > now]
        return {
            "person_id": p.person_id,
            "name": self._people.name(p.person_id),
            "roles": list(p.roles or p.held),
            "disabled_at": format_time(p.disabled_at) if p.disabled_at else "",
            "added_at": format_time(p.added_at),
            "has_pin": p.has_pin,
            "away_until": format_time(away.ends) if away else "",
            "delegate": self._people.name(away.delegate) if away and away.delegate else "",
            "absences": [
                {"starts": format_time(a.starts), "ends": format_time(a.ends)} for a in planned
            ],
        }


def _check_outsider(by: Person, person: Person) -> None:
    if by.person_id == person.person_id or not MAY_RELEASE & set(by.roles):
        raise NotPermitted(
            "who takes no turns in a rotation is put on call by another person",
            hint="Ask somebody with the operator or admin role.",
        )


def _check_times(starts: datetime, ends: datetime, now: datetime, most: timedelta) -> None:
    if ends <= starts or ends <= now:
        raise UsageError(
            "the end (`ends`, `--until`) is over already, or before the start",
            hint="Give a later time.",
        )
    if ends - starts > most:
        raise UsageError(f"that is longer than {most.days} days", hint="Give an earlier `until`.")
