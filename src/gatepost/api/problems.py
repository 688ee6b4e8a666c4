"""Errors as problem details (RFC 9457): one shape for all that goes wrong."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from gatepost.model.wrong import WrongValueError
from gatepost.operate.accounts import AccountError, NoSuchAccountError
from gatepost.operate.suppressions import NoSuchSuppressionError
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.rows import NewerRowError

#: Faults that an answer names, and characters of each: a request may have any.
_MOST_FAULTS: Final = 20
_LONGEST: Final = 200
PROBLEM: Final = "application/problem+json"


class Problem(BaseModel):
    """What went wrong: `title` names the sort of trouble, `detail` this case of it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""


class ProblemError(Exception):
    """An answer that is a problem; `more` are members beside the standard ones."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail
        self.more = dict(more or {})
        self.headers = dict(headers or {})


#: What every endpoint may answer, for OpenAPI.
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": words, "content": {PROBLEM: {"schema": Problem.model_json_schema()}}}
    for status, words in (
        (401, "No key, or a wrong one"),
        (403, "The key is not good for this"),
        (422, "The request says what cannot be"),
        (503, "Not now: try again later"),
    )
}


def install(app: FastAPI) -> None:
    """Have every error of an app answered as a problem."""

    @app.exception_handler(ProblemError)
    async def on_problem(request: Request, problem: ProblemError) -> JSONResponse:
        del request
        return answer(problem)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, problem: HTTPException) -> JSONResponse:
        del request
        headers = dict(problem.headers or {})
        return answer(ProblemError(problem.status_code, str(problem.detail), headers=headers))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, problem: RequestValidationError) -> JSONResponse:
        del request
        faults = [
            {"where": ".".join(map(str, fault["loc"]))[:_LONGEST], "what": fault["msg"][:_LONGEST]}
            for fault in islice(problem.errors(), _MOST_FAULTS)
        ]
        return answer(ProblemError(422, "The request is not valid", more={"faults": faults}))

    @app.exception_handler(AccountError)
    async def on_refusal(request: Request, problem: AccountError) -> JSONResponse:
        del request
        missing = isinstance(problem, NoSuchAccountError | NoSuchSuppressionError)
        return answer(ProblemError(404 if missing else 422, problem.what))

    @app.exception_handler(WrongValueError)
    async def on_wrong(request: Request, problem: WrongValueError) -> JSONResponse:
        del request
        first = problem.wrongs[0]
        return answer(ProblemError(422, first.what, first.mend))

    @app.exception_handler(StoreUnavailableError)
    async def on_store(request: Request, problem: StoreUnavailableError) -> JSONResponse:
        del request, problem
        return answer(store_away())

    @app.exception_handler(NewerRowError)
    async def on_newer(request: Request, problem: NewerRowError) -> JSONResponse:
        del request
        return answer(ProblemError(503, "Only a newer Gatepost can do this", str(problem)))

    @app.exception_handler(Exception)
    async def on_fault(request: Request, fault: Exception) -> JSONResponse:
        del request, fault  # it is raised again behind this, and told by who hears of it there
        return answer(fault_of_ours())


def fault_of_ours() -> ProblemError:
    """Return what is said where we do not know what is wrong."""
    return ProblemError(500, "A fault of ours", "the log says what it is")


def store_away() -> ProblemError:
    """Return what is said while the store cannot be asked."""
    return ProblemError(503, "Storage is not available", "try again later")


def answer(problem: ProblemError) -> JSONResponse:
    """Return a problem as the response that it is."""
    body = Problem(title=problem.title, status=problem.status, detail=problem.detail).model_dump()
    return JSONResponse(
        body | problem.more, problem.status, headers=problem.headers, media_type=PROBLEM
    )
