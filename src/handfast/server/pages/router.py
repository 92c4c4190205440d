"""All pages in one place. They are not part of the API's document."""

from fastapi import FastAPI, Request
from starlette.responses import Response

from handfast.server import slack
from handfast.server.pages import (
    account,
    agents,
    assets,
    attention,
    audit,
    cases,
    changes,
    checkpoints,
    delegate,
    federated,
    inbox,
    live,
    notice_links,
    notifications,
    own_account,
    policy,
    runs,
    settings,
    takeovers,
    tasks,
)
from handfast.server.pages.reader import SignInNeeded, to_sign_in

_AREAS = (
    account, agents, assets, attention, audit, cases, changes, checkpoints, delegate, inbox, live, notice_links,
    notifications, policy,
    runs, settings, slack, takeovers, tasks, own_account, federated,
)  # fmt: skip


def add_pages(app: FastAPI) -> None:
    """Mount every page, and send whoever has no session to sign in. As they are: `server.api.router`."""
    for area in _AREAS:
        app.router.routes.extend(area.router.routes)
    app.add_exception_handler(SignInNeeded, _sign_in)


async def _sign_in(request: Request, _: Exception) -> Response:
    return to_sign_in(request)
