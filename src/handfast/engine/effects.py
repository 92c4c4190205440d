"""What starts led to: reported, verified, or unknown with a doubt handoff."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from handfast.core.domain import grant_commands
from handfast.core.domain import handoff_commands as commands
from handfast.core.domain.action import Risk
from handfast.core.domain.codec import decode
from handfast.core.domain.errors import InvalidTransition
from handfast.core.domain.events_handoff import EffectOutcome, HandoffKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.package import Contract, Package, ShowKind, WhatWillHappen
from handfast.core.domain.run import Run
from handfast.engine.audiences import Audiences
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.opening import Opening, open_handoff
from handfast.engine.packages import Shown, doubt
from handfast.engine.vault import Content


def settle_unknown(audiences: Audiences, unit: Unit, handoff: Handoff, note: str) -> Handoff:
    """Close a start as unknown and open the doubt about it. Gives the doubt handoff.

    Nothing repeats the action: an equal call attaches to the doubt until a person answers.
    """
    if handoff.grant is None or not commands.starts_unsettled(handoff):
        raise ValueError("only a start without an effect can be settled as unknown")
    unknown = commands.Settle(handoff.grant.start_id, EffectOutcome.UNKNOWN, note=note)
    unit.record(Handoff, handoff.handoff_id, commands.settle(handoff, unknown))
    kernel = audiences.kernel
    package = open_package(kernel, handoff)
    run_id = handoff.grant.started_by or handoff.run_id
    run = unit.find(Run, run_id) if run_id else None
    shown = Shown(package.what_will_happen.kind, package.what_will_happen.text)
    return open_handoff(
        audiences,
        unit,
        Opening(
            kind=HandoffKind.DOUBT,
            risk=Risk.HIGH.value if handoff.risk != Risk.CRITICAL.value else handoff.risk,
            package=_with_probe(doubt(handoff, package.ask, shown, run), package.contract),
            action_digest=handoff.grant.action_digest,
            agent_id=handoff.agent_id,
            within_s=kernel.settings.review_within_s,
            run_id=run_id,
            task_id=handoff.task_id,
            step_id=handoff.step_id,
            action=handoff.action,
            about=handoff.handoff_id,
        ),
    )


def _with_probe(package: Package, contract: Contract | None) -> Package:
    """The doubt with what is declared about checking it."""
    if contract is None or package.doubt is None:
        return package
    checks = list(package.doubt.how_to_check)
    if contract.reconcile:
        checks.insert(0, f"Run the declared probe: {shlex.join(contract.reconcile)} (0: it ran).")
    if contract.idempotent:
        checks.append("The policy declares it idempotent: running it again does no harm.")
    found = replace(package.doubt, how_to_check=tuple(checks))
    return replace(package, doubt=found, contract=contract)


def settle_doubt(unit: Unit, doubt: Handoff) -> None:
    """The doubt was answered: the starts that are left of the grant it is about may be taken."""
    if doubt.kind is HandoffKind.DOUBT and doubt.about and doubt.decision is not None:
        about = unit.get(Handoff, doubt.about)
        if events := grant_commands.reopen(about, doubt.handoff_id):
            unit.record(Handoff, about.handoff_id, events)


def open_package(kernel: Kernel, handoff: Handoff) -> Package:
    """The package as it was recorded; an erased one says so."""
    return _package_in(kernel.vault.open(handoff.package.body_id))


def check_readable(kernel: Kernel, handoff: Handoff) -> None:
    """Before it is approved. Raises InvalidTransition (`erased`) where nobody can read what would be approved."""
    if kernel.vault.open(handoff.package.body_id).erased:
        raise InvalidTransition(
            f"what handoff `{handoff.handoff_id}` asks was erased: nobody can read what would be approved",
            code="package_erased",
            hint="Reject it; the agent can ask again.",
        )


def open_packages(kernel: Kernel, handoffs: Sequence[Handoff]) -> dict[str, Package]:
    """The packages of many handoffs by the ids of their bodies, read together."""
    found = kernel.vault.open_many([h.package.body_id for h in handoffs])
    return {body_id: _package_in(content) for body_id, content in found.items()}


def _package_in(content: Content) -> Package:
    if content.erased:
        return erased_package()
    return decode(Package, cast("dict[str, object]", json.loads(content.data)))


def erased_package() -> Package:
    gone = "(erased)"
    return Package(gone, WhatWillHappen(ShowKind.TEXT, gone), gone, gone, gone)


def changed_lines(package: Package) -> int:
    """How many lines finished work adds and removes; 0 for everything else."""
    if package.review is None or package.what_will_happen.kind is not ShowKind.DIFF:
        return 0
    lines = package.what_will_happen.text.split("\n")
    return sum(line[:1] in ("+", "-") and line[:3] not in ("+++", "---") for line in lines)
