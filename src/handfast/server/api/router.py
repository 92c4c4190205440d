"""All of the API in one place."""

from fastapi import FastAPI
from fastapi.routing import APIRoute

from handfast.server.api import (
    account,
    actions,
    aftereffects,
    agents,
    bodies,
    bulk,
    checkpoints,
    grants,
    handoffs,
    health,
    log,
    notifications,
    policies,
    relay,
    runners,
    runs,
    staff,
    takeovers,
    tasks,
)

# In the order of how often they are called: routes are matched one after the other.
_AREAS = (
    health, actions, handoffs, runs, grants, log, tasks, agents, aftereffects, policies, staff, runners, bodies,
    relay, takeovers, notifications, checkpoints, account, bulk,
)  # fmt: skip


def routes() -> list[APIRoute]:
    """Every route of the API, named in its document as its function is."""
    found = [r for area in _AREAS for r in area.router.routes if isinstance(r, APIRoute)]
    for route in found:
        route.operation_id = route.name
    return found


def add_api(app: FastAPI) -> None:
    """Mount every route. As they are: `include_router` would analyse each one again at an application's
    first request, which then takes half a second, and look through two lists at every other."""
    app.router.routes.extend(routes())
