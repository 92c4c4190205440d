"""All of the API in one place."""

from fastapi import FastAPI

from handfast.server.api import actions, agents, grants, handoffs, health, log, runs, tasks
from handfast.server.identity import SCHEMES

_AREAS = (tasks, runs, actions, handoffs, grants, log, agents)


def add_api(app: FastAPI) -> None:
    """Mount every route; each but health says which credentials it takes."""
    app.include_router(health.router)
    for area in _AREAS:
        app.include_router(area.router, dependencies=SCHEMES)
