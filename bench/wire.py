"""A lean HTTP/1.1 client: a library's own cost on this machine would be measured otherwise."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import urlsplit


class Answer:
    """Status and body of one request."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body

    @property
    def json(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.body))


class Wire:
    """One connection that is kept open, and opened again when the server closed it. One request at a time."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._host, self._port = _place(url)
        told = {"Host": f"{self._host}:{self._port}", **headers}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> Answer:
        return await self._ask(f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode())

    async def post(self, path: str, body: object) -> Answer:
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\n{self._headers}Content-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        return await self._ask(head.encode() + data)

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """What a stream of events sends, line by line, until the server ends it."""
        reader, writer = await self._open()
        accept = "Accept: text/event-stream\r\n"
        writer.write(f"GET {path} HTTP/1.1\r\n{self._headers}{accept}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.partition(b"\r\n")[0], head[:200]
        while line := await reader.readline():
            yield line

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        # The server closes a connection that was idle for some seconds: that is seen before it is used again.
        if self._streams is None or self._streams[1].is_closing() or self._streams[0].at_eof():
            self.close()
            self._streams = await asyncio.open_connection(self._host, self._port, limit=2**22)
        return self._streams

    async def _ask(self, request: bytes) -> Answer:
        try:
            reader, writer = await self._open()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next(int(x[15:]) for x in lines if x.startswith(b"content-length:"))
            body = await reader.readexactly(length)
        except BaseException:
            self.close()
            raise
        if b"connection: close" in lines:
            self.close()
        return Answer(int(head.split(b" ", 2)[1]), body)


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80
