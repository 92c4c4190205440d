"""The forms with which a person takes a run over and hands it back. Refused, the run's page comes back with them."""

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from handfast.core.domain.errors import HandfastError
from handfast.server.pages.reader import FormDep, Reader, ReaderDep, check_token, page
from handfast.server.pages.runs import run_context

router = APIRouter(prefix="/runs/{run_id}")


@router.post("/take-over")
def take_over(request: Request, reader: ReaderDep, form: FormDep, run_id: str) -> Response:
    """The agent is stopped and the worktree is the person's."""
    check_token(request, form)
    words, takeovers = form.get("reason", ""), reader.engine.takeovers
    return _act(reader, run_id, words, lambda: takeovers.take(reader.actor, run_id, words))


@router.post("/hand-back")
def hand_back(request: Request, reader: ReaderDep, form: FormDep, run_id: str) -> Response:
    """What changed is recorded by its runner, and the run goes on as the form says."""
    check_token(request, form)
    note, then, takeovers = form.get("note", ""), form.get("then", ""), reader.engine.takeovers
    return _act(reader, run_id, note, lambda: takeovers.hand_back(reader.actor, run_id, note, then))


def _act(reader: Reader, run_id: str, words: str, act: Callable[[], object]) -> Response:
    reader.knows("run", run_id)
    try:
        act()
    except HandfastError as error:
        problem = reader.problem(error)
        if problem.status in (404, 500, 502):
            raise
        said = f"{error.message[:1].upper()}{error.message[1:]}. {error.hint}".strip()
        context = run_context(reader, run_id, refused={"error": said, "note": words})
        return page("run.html", context, problem.status)
    return RedirectResponse(f"/runs/{run_id}#hands", 303)
