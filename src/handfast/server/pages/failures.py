"""Errors as a page, for a person in a browser."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from handfast.server.pages.reader import SignInNeeded, has_script, page, reader, to_sign_in
from handfast.server.problems import Problem
from handfast.server.web.pages import Shell, message_page

_TITLES = {
    403: "Not permitted",
    404: "Nothing here",
    405: "Not possible here",
    409: "That is not possible any more",
    413: "Too large",
    421: "Wrong address",
    422: "That cannot be taken",
    429: "Too many requests",
    500: "Handfast failed",
    503: "The store cannot be reached",
}


def wants_page(request: Request) -> bool:
    """Whether somebody looks at this in a browser. The API always answers with problem+json."""
    path = request.url.path
    return not path.startswith("/v1/") and "text/html" in request.headers.get("accept", "")


def page_of(request: Request, problem: Problem) -> Response:
    if problem.status == 401:
        return to_sign_in(request)
    title = _TITLES.get(problem.status, problem.title)
    engine = request.app.state.engine if "app" in request.scope else None
    if engine is None:
        return HTMLResponse(
            f"<!doctype html><title>{title}</title><h1>{title}</h1>", problem.status
        )
    context = message_page(
        title,
        problem.detail[:1].upper() + problem.detail[1:],
        shell=_shell(request, problem),
        now=engine.kernel.clock.now(),
        hint=problem.hint,
        code=problem.code,
        back=_back(problem),
    )
    return page("message.html", context, problem.status)


def _back(problem: Problem) -> tuple[str, str]:
    if problem.code == "wrong_address":
        return f"{problem.details['pages_url']}/", "Open Handfast there"
    return "/", "Go to the inbox"


def _shell(request: Request, problem: Problem) -> Shell:
    """The reader's own, unless the store is the trouble."""
    if problem.status >= 500 or problem.status == 421:
        return Shell(has_js=has_script())
    try:
        return reader(request).shell()
    except SignInNeeded:
        return Shell(has_js=has_script())
