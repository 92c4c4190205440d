"""One client with two faces: `send` in a thread, `asend` and `events` in an event loop.

Both faces send the same requests and read answers with the same functions; only the waiting differs.
"""

import asyncio
import json
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx

from handfast.client import discovery
from handfast.client.problems import error_of, unreachable
from handfast.client.request import Answer, Json, Request, check
from handfast.core.domain.errors import AdapterError, HandfastError

T = TypeVar("T")

TIMEOUT_S: Final = 10.0
_PAUSES_S: Final = (0.1, 0.4)  # before the second and the third try
_MAX_WAIT_S: Final = 10.0
RATE_LIMITED: Final = "rate_limited"
_MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
# Nothing reached the server, so even a command without a key may be tried again.
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Stop:
    """No more tries: `error` is what to raise."""

    error: HandfastError


class Client:
    """Speaks to one server with one credential. Thread-safe; the async face belongs to one event loop.

    Raises what the server raised, Unavailable (`server_unreachable`) when there is none, AdapterError
    when something else answers. Only repeatable requests are sent again, at most twice; one that the server
    took no notice of because there were too many is repeatable, after the time that the server says.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        timeout_s: float = TIMEOUT_S,
        tries: int = 3,
        transport: httpx.BaseTransport | None = None,
        async_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self._tries = tries
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._transport, self._async_transport = transport, async_transport
        # Loading certificates takes longer than a call: only where there is something to verify.
        self._tls = not self.url.startswith("http:")
        self._opening = threading.Lock()
        self._sync: httpx.Client | None = None
        self._async: httpx.AsyncClient | None = None

    @classmethod
    def from_data_folder(
        cls,
        home: Path | None = None,
        *,
        token_file: str = discovery.OPERATOR_TOKEN,
        timeout_s: float = TIMEOUT_S,
    ) -> Self:
        """The server this data folder belongs to, with a credential from a file in it.

        Raises Unavailable when no server has written its address there, NotPermitted when the
        credential cannot be read.
        """
        folder = home or discovery.data_folder()
        return cls(
            discovery.server_url(folder),
            discovery.file_token(folder, token_file),
            timeout_s=timeout_s,
        )

    @classmethod
    def from_environment(cls, *, timeout_s: float = TIMEOUT_S) -> Self:
        """HANDFAST_URL and HANDFAST_TOKEN; what is not set comes from the data folder."""
        found = discovery.from_environment()
        return cls(found.url, found.token, timeout_s=timeout_s)

    def with_token(self, token: str) -> "Client":
        """The same server with another credential."""
        return Client(
            self.url,
            token,
            timeout_s=self.timeout_s,
            tries=self._tries,
            transport=self._transport,
            async_transport=self._async_transport,
        )

    # -- the face for threads

    def send(self, request: Request[T]) -> T:
        for pause_s in self._pauses():
            outcome = self._once(request)
            if isinstance(outcome, Answer):
                return request.read(outcome)
            if isinstance(outcome, Stop) or pause_s is None:
                raise outcome.error if isinstance(outcome, Stop) else outcome
            time.sleep(max(pause_s, _asked_to_wait(outcome)))
        raise AssertionError("the last pause is None")

    def _once(self, request: Request[T]) -> "Answer | HandfastError | Stop":
        client = self._open()
        try:
            return self._judge(request, _answer(client.send(self._build(client, request))))
        except httpx.HTTPError as error:
            return self._failed(request, error)

    def _open(self) -> httpx.Client:
        """One for all threads: a second one would hold connections that nobody closes."""
        with self._opening:
            if self._sync is None:
                self._sync = httpx.Client(
                    base_url=self.url,
                    headers=self._headers,
                    transport=self._transport,
                    trust_env=False,
                    verify=self._tls,
                )
            return self._sync

    # -- the face for event loops

    async def asend(self, request: Request[T]) -> T:
        for pause_s in self._pauses():
            outcome = await self._aonce(request)
            if isinstance(outcome, Answer):
                return request.read(outcome)
            if isinstance(outcome, Stop) or pause_s is None:
                raise outcome.error if isinstance(outcome, Stop) else outcome
            await asyncio.sleep(max(pause_s, _asked_to_wait(outcome)))
        raise AssertionError("the last pause is None")

    async def _aonce(self, request: Request[T]) -> "Answer | HandfastError | Stop":
        client = self._open_async()
        try:
            return self._judge(request, _answer(await client.send(self._build(client, request))))
        except httpx.HTTPError as error:
            return self._failed(request, error)

    async def events(self, request: Request[None]) -> AsyncIterator[Json]:
        """The events of a stream (`calls.events_stream`), each with its `position`, until it ends.

        Not resumed by itself: ask again `after` the last position seen.
        """
        client = self._open_async()
        sent = self._build(client, request)
        sent.extensions["timeout"] = httpx.Timeout(self.timeout_s, read=None).as_dict()
        try:
            answer = await client.send(sent, stream=True)
            try:
                if not answer.is_success:
                    check(Answer(answer.status_code, await answer.aread()))
                async for line in answer.aiter_lines():
                    if line.startswith("data:"):
                        yield _event(line[5:])
            finally:
                await answer.aclose()
        except httpx.HTTPError as error:
            raise unreachable(self.url, _why(error)) from error

    def _open_async(self) -> httpx.AsyncClient:
        if self._async is None:
            self._async = httpx.AsyncClient(
                base_url=self.url,
                headers=self._headers,
                transport=self._async_transport,
                trust_env=False,
                verify=self._tls,
                # Hundreds of calls may wait for a decision at once.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            )
        return self._async

    # -- shared by both faces

    def _pauses(self) -> Iterator[float | None]:
        for pause_s in _PAUSES_S[: self._tries - 1]:
            yield pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        yield None

    def _build(
        self, client: httpx.Client | httpx.AsyncClient, request: Request[T]
    ) -> httpx.Request:
        return client.build_request(
            request.method,
            request.path,
            params=dict(request.query) or None,
            content=request.payload,
            headers=request.headers,
            timeout=request.timeout_s or self.timeout_s,
        )

    def _judge(self, request: Request[T], answer: Answer) -> "Answer | HandfastError":
        """An answer to read, or an error after which a repeatable request is sent again."""
        if answer.status == 429:
            error = error_of(answer.status, answer.body)
            return error if 0 < _asked_to_wait(error) <= _MAX_WAIT_S else answer
        if answer.status != 503 or not request.repeatable:
            return answer
        error = error_of(answer.status, answer.body)
        return error if error.retryable else answer

    def _failed(self, request: Request[T], error: httpx.HTTPError) -> "HandfastError | Stop":
        found = unreachable(self.url, _why(error))
        if request.repeatable or isinstance(error, _NOT_SENT):
            return found
        return Stop(found)

    # -- its end

    def close(self) -> None:
        """Close the connections of the face for threads."""
        with self._opening:
            client, self._sync = self._sync, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the connections of both faces."""
        self.close()
        if self._async is not None:
            await self._async.aclose()
            self._async = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _answer(response: httpx.Response) -> Answer:
    if len(response.content) > _MAX_ANSWER_BYTES:
        raise AdapterError("the server's answer is too large", code="answer_too_large")
    return Answer(response.status_code, response.content, response.headers.get("content-type", ""))


def _asked_to_wait(error: HandfastError) -> float:
    """Seconds after which a request that was not looked at may be sent again; 0 for any other error."""
    after = error.details.get("retry_after_s")
    return float(after) if error.code == RATE_LIMITED and isinstance(after, int) else 0.0


def _event(data: str) -> Json:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise AdapterError("the server sent an event that is not JSON", code="not_handfast")
    return found


def _why(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return str(error) or type(error).__name__
