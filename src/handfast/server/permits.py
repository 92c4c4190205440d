"""Who may call what: the one table, by operation. An operation that is not in it is refused to all."""

from collections.abc import Mapping
from dataclasses import dataclass

from handfast.core.domain.person import MAY_DELEGATE
from handfast.engine.access import PrincipalKind

_A, _R = PrincipalKind.AGENT, PrincipalKind.RUNNER
_O, _P = PrincipalKind.OPERATOR, PrincipalKind.PERSON


@dataclass(frozen=True, slots=True)
class Permit:
    """`scope` is what an agent's token needs. `by_person` operations take a token only with a PIN, and
    `in_browser` ones none at all. A person needs one of the `roles`, where there are any."""

    kinds: frozenset[PrincipalKind]
    scope: str = ""
    by_person: bool = False
    in_browser: bool = False
    roles: frozenset[str] = frozenset()


def _to(*kinds: PrincipalKind, scope: str = "", roles: frozenset[str] = frozenset()) -> Permit:
    return Permit(frozenset(kinds), scope, roles=roles)


MANAGERS = frozenset({"operator", "admin"})
WORKERS = MAY_DELEGATE

_READ = _to(_R, _O, _P)
_READ_OWN = _to(_A, _R, _O, _P, scope="read")
_MANAGE = _to(_O, _P, roles=MANAGERS)
_WORK = _to(_O, _P, roles=WORKERS)
_RUNNER = _to(_R)
_DECIDE = Permit(frozenset({_O, _P}), by_person=True)
_OWN = Permit(frozenset({_P}), in_browser=True)
_EXECUTE = _to(_A, _R, _O, scope="redeem")

PERMITS: Mapping[str, Permit] = {
    "create_task": _WORK,
    "list_tasks": _READ,
    "get_task": _READ,
    "get_task_bodies": _READ,
    "erase_task_bodies": _DECIDE,
    "hold_task": _DECIDE,
    "release_task": _DECIDE,
    "create_run": _to(_A, _R, _O, _P, scope="propose", roles=WORKERS),
    "list_runs": _READ,
    "get_run": _READ_OWN,
    "list_steps": _READ_OWN,
    "lease_run": _RUNNER,
    "heartbeat_run": _RUNNER,
    "run_started": _RUNNER,
    "run_paused": _RUNNER,
    "run_exited": _RUNNER,
    "run_never_started": _RUNNER,
    "run_ended": _RUNNER,
    "release_run": _RUNNER,
    "settle_run": _RUNNER,
    "take_over_run": _DECIDE,
    "hand_back_run": _DECIDE,
    "run_handed_over": _RUNNER,
    "record_persons_work": _RUNNER,
    "record_gap": _RUNNER,
    "report_usage": _to(_A, _R, scope="record"),
    "propose_action": _to(_A, _R, scope="propose"),
    "record_reads": _RUNNER,
    "record_result": _to(_A, _R, scope="record"),
    "open_review": _RUNNER,
    "ask_question": _to(_A, _R, scope="propose"),
    "list_handoffs": _READ_OWN,
    "get_handoff": _READ_OWN,
    "wait_handoff": _READ_OWN,
    "get_review_files": _READ,
    "get_changes": _READ,
    "decide_handoff": _DECIDE,
    "decide_handoffs": _DECIDE,
    "acknowledge_handoff": _DECIDE,
    "release_handoff": _DECIDE,
    "withdraw_vote": _DECIDE,
    "route_handoff": _DECIDE,
    "snooze_handoff": _DECIDE,
    "override_handoff": _DECIDE,
    "comment_handoff": _WORK,
    "view_handoff": _to(_P),
    "list_checkpoints": _READ,
    "get_checkpoint": _READ,
    "open_checkpoint": _DECIDE,
    "decide_checkpoint": _DECIDE,
    "rate_handoff": _DECIDE,
    "get_grant": _EXECUTE,
    "redeem_grant": _EXECUTE,
    "revoke_grant": _DECIDE,
    "undo_handoff": _WORK,
    "reconcile_handoff": _RUNNER,
    "carry_over_handoff": _RUNNER,
    "record_effect": _EXECUTE,
    "list_events": _READ,
    "create_body": _to(_R, _O),
    "get_body": _READ,
    "erase_body": Permit(frozenset({_P}), in_browser=True, roles=MANAGERS),
    "get_head": _READ,
    "get_entry_proof": _READ,
    "get_consistency": _READ,
    "list_agents": _READ,
    "create_agent": _MANAGE,
    "issue_token": _MANAGE,
    "revoke_token": _MANAGE,
    "suspend_agent": _MANAGE,
    "reinstate_agent": _MANAGE,
    "list_runners": _READ,
    "create_runner": _MANAGE,
    "issue_runner_token": _MANAGE,
    "retire_runner": _MANAGE,
    "start_runner": _RUNNER,
    "heartbeat_runner": _RUNNER,
    "stop_runner": _RUNNER,
    "list_policies": _READ,
    "get_policy_text": _READ,
    "get_policies_in_force": _to(_A, _R, _O, _P, scope="read"),
    "propose_policy": _DECIDE,
    "approve_policy": _DECIDE,
    "decline_policy": _DECIDE,
    "get_hooks": _to(_A, _R, _O, _P, scope="read"),
    "set_hook_mode": _DECIDE,
    "record_hook_installed": _to(_R, _O, _P, roles=WORKERS),
    "pause_hooks": _DECIDE,
    "resume_hooks": _WORK,
    "list_people": _to(_O, _P),
    "invite_person": _DECIDE,
    "set_person_roles": _DECIDE,
    "disable_person": _DECIDE,
    "enable_person": _DECIDE,
    "set_person_away": _DECIDE,
    "end_person_away": _DECIDE,
    "end_person_sessions": _DECIDE,
    "set_person_teams": _DECIDE,
    "list_projects": _to(_O, _P),
    "set_project": _DECIDE,
    "get_account": _to(_P),
    "list_sessions": _OWN,
    "end_session": _OWN,
    "end_sessions": _OWN,
    "list_own_tokens": _OWN,
    "issue_own_token": _OWN,
    "revoke_own_token": _OWN,
    "change_password": _OWN,
    "list_on_call": _READ,
    "override_on_call": _DECIDE,
    "get_control": _READ,
    "kill_agents": _DECIDE,
    "release_agents": _DECIDE,
    "get_relay": _to(_O, _P),
    "list_dead_deliveries": _MANAGE,
    "retry_delivery": _MANAGE,
    "get_notifications": _to(_P),
    "show_notifications": _DECIDE,
    "add_contact": _DECIDE,
    "change_contact": _DECIDE,
    "remove_contact": _DECIDE,
    "rotate_contact": _DECIDE,
    "test_contact": _DECIDE,
    "set_quiet_hours": _DECIDE,
    "create_slack_code": _DECIDE,
    "list_notices": _to(_O, _P),
    "get_notice": _to(_O, _P),
}
