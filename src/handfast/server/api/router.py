"""All of the API in one place."""

from fastapi import FastAPI

from handfast.server.api import (
    actions,
    aftereffects,
    agents,
    bodies,
    checkpoints,
    grants,
    handoffs,
    health,
    log,
    policies,
    relay,
    runners,
    runs,
    staff,
    tasks,
)
from handfast.server.identity import SCHEMES

# In the order of how often they are called: routes are matched one after the other.
_AREAS = (
    actions, handoffs, runs, grants, log, tasks, agents, aftereffects, policies, staff, runners, bodies,
    relay, checkpoints,
)  # fmt: skip


def add_api(app: FastAPI) -> None:
    """Mount every route; each but health says which credentials it takes."""
    app.include_router(health.router)
    for area in _AREAS:
        app.include_router(area.router, dependencies=SCHEMES)
