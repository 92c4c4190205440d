"""All pages in one place. They are not part of the API's document."""

from fastapi import FastAPI, Request
from starlette.responses import Response

from handfast.server.pages import account, assets, cases, checkpoints, inbox, runs
from handfast.server.pages.reader import SignInNeeded, to_sign_in

_AREAS = (account, assets, cases, checkpoints, inbox, runs)


def add_pages(app: FastAPI) -> None:
    """Mount every page, and send whoever has no session to sign in."""
    for area in _AREAS:
        app.include_router(area.router, include_in_schema=False)
    app.add_exception_handler(SignInNeeded, _sign_in)


async def _sign_in(request: Request, _: Exception) -> Response:
    return to_sign_in(request)
