"""A stand-in for the model, for one turn on loopback: asks for one tool call, then says 'done'.

Lets `handfast doctor` drive the real agent program without an account, a network or a model. Speaks as
much of the Messages API as Claude Code needs: streamed and plain answers to `POST /v1/messages`.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

Json = dict[str, Any]
_LIMIT: Final = 32 * 1024 * 1024
_USAGE: Final = {
    "input_tokens": 1,
    "output_tokens": 1,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
}


class OneTurnModel:
    """`results` holds what the agent reported of the call: its text, as a model would see it."""

    def __init__(self, tool: str, tool_input: Json) -> None:
        self.results: list[str] = []
        self.asked = 0
        self._call = {
            "type": "tool_use",
            "id": "toolu_handfast_doctor",
            "name": tool,
            "input": tool_input,
        }
        handler = type("Handler", (_Handler,), {"model": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="handfast-doctor", daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def blocks(self, request: Json) -> list[Json]:
        """The next turn: the call once, to the first request that offers the tool."""
        for result in _results(request):
            if result not in self.results:
                self.results.append(result)
        names = {tool.get("name") for tool in request.get("tools") or [] if isinstance(tool, dict)}
        if self._call["name"] in names and not self.results:
            self.asked += 1
            return [self._call]
        return [{"type": "text", "text": "done"}]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()


def _results(request: Json) -> Iterator[str]:
    for message in request.get("messages") or []:
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else []:
            if isinstance(block, dict) and block.get("type") == "tool_result":
                said = block.get("content")
                yield said if isinstance(said, str) else json.dumps(said)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: OneTurnModel

    def log_message(self, *_: object) -> None:
        """Nothing is written to the terminal."""

    def do_HEAD(self) -> None:
        self._answer("application/json", b"")

    def do_GET(self) -> None:
        self._answer("application/json", b'{"data": [], "has_more": false}')

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        try:
            request = json.loads(self.rfile.read(min(length, _LIMIT)) or b"{}")
        except ValueError:
            request = {}
        if self.path.partition("?")[0] != "/v1/messages" or not isinstance(request, dict):
            self._answer("application/json", b'{"input_tokens": 1}')
            return
        blocks = self.model.blocks(request)
        calls = any(block["type"] == "tool_use" for block in blocks)
        message: Json = {
            "id": "msg_handfast_doctor",
            "type": "message",
            "role": "assistant",
            "model": request.get("model"),
            "content": blocks,
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": dict(_USAGE),
        }
        if request.get("stream"):
            text = "".join(
                f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"
                for kind, data in _events(message)
            )
            self._answer("text/event-stream", text.encode())
        else:
            self._answer("application/json", json.dumps(message).encode())

    def _answer(self, media: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # the agent was ended meanwhile
            self.close_connection = True


def _events(message: Json) -> Iterator[tuple[str, Json]]:
    """The message as the events of a stream."""
    yield "message_start", {"message": {**message, "content": [], "stop_reason": None}}
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            start: Json = {"type": "text", "text": ""}
            delta: Json = {"type": "text_delta", "text": block["text"]}
        else:
            start = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield "content_block_start", {"index": index, "content_block": start}
        yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield "message_delta", {"delta": ending, "usage": message["usage"]}
    yield "message_stop", {}
