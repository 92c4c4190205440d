"""A Messages API on loopback that plays a scripted model for a real agent CLI.

`FakeAnthropic` answers `POST /v1/messages` (plain and streamed) with blocks chosen by a
`Decide` callable, records what the agent sent, and stops by itself after `lifetime_s`.

    with FakeAnthropic(script([[bash("make test")], "done"])) as model:
        run_claude(home, model.url, prompt="go")
    assert model.tool_results() == [...]

From a shell: `python -m handfast.testing.fake_anthropic --script turns.json`; it prints its
address on the first line. Wire format: Anthropic Messages API, version 2023-06-01.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from handfast.testing.model_script import (
    Block,
    Decide,
    Json,
    ModelRequest,
    ToolResult,
    Turn,
    bash,
    script,
    subagent,
    text,
    tool,
)

__all__ = [
    "Block",
    "Decide",
    "FakeAnthropic",
    "ModelRequest",
    "ToolResult",
    "Turn",
    "bash",
    "script",
    "subagent",
    "text",
    "tool",
]

BODY_LIMIT_BYTES = 64 * 1024 * 1024


class FakeAnthropic:
    """The server. Use as a context manager, or `start` and `stop`; both are idempotent.

    `requests` holds every model request in order of arrival. With `log_path` each request and
    its answer are also appended there as one JSON line. `lifetime_s` bounds the server's life
    when its owner is killed without cleaning up. What a `Decide` raises is kept in
    `script_errors` and answered as an error that an agent does not retry.
    """

    def __init__(
        self,
        decide: Decide,
        *,
        port: int = 0,
        log_path: Path | None = None,
        lifetime_s: float = 900.0,
        delay_s: float = 0.0,
    ) -> None:
        self.requests: list[ModelRequest] = []
        self.answers: list[list[Block]] = []
        self.other_paths: list[str] = []
        self.script_errors: list[Exception] = []
        self._decide = decide
        self._delay_s = delay_s
        self._log_path = log_path
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._http = _Http(("127.0.0.1", port), _handler_for(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._timer = threading.Timer(lifetime_s, self.stop)
        self._timer.daemon = True
        self._started = False

    @property
    def url(self) -> str:
        """Base address for `ANTHROPIC_BASE_URL`."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> Self:
        """Begin to answer; the port is bound since the constructor."""
        if not self._started:
            self._started = True
            self._thread.start()
            self._timer.start()
        return self

    def stop(self) -> None:
        """Close the port. Answers under way are cut off."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._timer.cancel()
        if self._started:
            self._http.shutdown()
        self._http.server_close()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until stopped; False when `timeout_s` passed first."""
        return self._stopped.wait(timeout_s)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def tool_results(self) -> list[ToolResult]:
        """Distinct tool results over all requests, in order of first arrival."""
        with self._lock:
            seen = {
                (each.call_id, each): each for one in self.requests for each in one.tool_results()
            }
        return list(seen.values())

    def agent_requests(self) -> list[ModelRequest]:
        """The requests that offered tools: real turns of the agent and its sub-agents."""
        with self._lock:
            return [each for each in self.requests if not each.is_side_request]

    def answer(self, request: ModelRequest) -> list[Block]:
        """Record the request and ask the script for the blocks of the next turn."""
        if self._delay_s:
            time.sleep(self._delay_s)
        with self._lock:
            self.requests.append(request)
        turn = self._decide(request)
        blocks = [_complete(each) for each in ([turn] if isinstance(turn, str) else turn)]
        with self._lock:
            self.answers.append(blocks)
            self._log({"request": request.body, "answer": blocks})
        return blocks

    def note_path(self, method: str, path: str) -> None:
        """Record a request for anything but `/v1/messages`."""
        with self._lock:
            self.other_paths.append(f"{method} {path}")
            self._log({"other": f"{method} {path}"})

    def _log(self, entry: Json) -> None:
        if self._log_path is not None:
            with self._log_path.open("a", encoding="utf-8") as out:
                out.write(json.dumps(entry) + "\n")


def _complete(block: Block | str) -> Block:
    if isinstance(block, str):
        return text(block)
    if block.get("type") == "tool_use" and "id" not in block:
        return {"id": f"toolu_{uuid.uuid4().hex[:24]}", **block}
    return block


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


def _handler_for(fake: FakeAnthropic) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"fake": fake})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeAnthropic

    def log_message(self, fmt: str, *args: object) -> None:
        """Keep the test output quiet."""

    def do_HEAD(self) -> None:
        self.fake.note_path("HEAD", self.path)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.fake.note_path("GET", self.path)
        self._json({"data": [], "has_more": False})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_LIMIT_BYTES:
            self._error(413, "request_too_large", "request body too large")
            return
        raw = self.rfile.read(length)
        path = self.path.partition("?")[0]
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            self._error(400, "invalid_request_error", "body is not JSON")
            return
        if path == "/v1/messages/count_tokens":
            self._json({"input_tokens": 10})
        elif path == "/v1/messages":
            self._message(body)
        else:
            self.fake.note_path("POST", self.path)
            self._json({})

    def _message(self, body: Json) -> None:
        request = ModelRequest(body=body, headers=dict(self.headers.items()))
        try:
            blocks = self.fake.answer(request)
        except Exception as error:  # noqa: BLE001 - a test's own code; the agent must not hang on it
            self.fake.script_errors.append(error)
            self._error(400, "invalid_request_error", f"the script failed: {error!r}")
            return
        calls = any(each.get("type") == "tool_use" for each in blocks)
        message: Json = {
            "id": f"msg_{uuid.uuid4().hex[:24]}",
            "type": "message",
            "role": "assistant",
            "model": body.get("model"),
            "content": blocks,
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": dict(_USAGE),
        }
        with suppress(BrokenPipeError, ConnectionResetError):
            if body.get("stream"):
                self._stream(message)
            else:
                self._json(message)

    def _stream(self, message: Json) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for kind, data in _events(message):
            self.wfile.write(
                f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()
            )
        self.close_connection = True

    def _json(self, body: Json, status: int = 200) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _error(self, status: int, kind: str, message: str) -> None:
        self.close_connection = True
        self._json({"type": "error", "error": {"type": kind, "message": message}}, status)


_USAGE: Json = {
    "input_tokens": 10,
    "output_tokens": 5,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
}


def _events(message: Json) -> Iterator[tuple[str, Json]]:
    """The streamed form of a message, event by event."""
    yield "message_start", {"message": {**message, "content": [], "stop_reason": None}}
    for index, block in enumerate(message["content"]):
        empty, delta = _opening_and_delta(block)
        yield "content_block_start", {"index": index, "content_block": empty}
        yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield "message_delta", {"delta": ending, "usage": message["usage"]}
    yield "message_stop", {}


def _opening_and_delta(block: Block) -> tuple[Block, Json]:
    if block["type"] == "text":
        return {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
    partial = json.dumps(block["input"])
    return {**block, "input": {}}, {"type": "input_json_delta", "partial_json": partial}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve a script from a JSON file (a list of turns) until stopped or `--lifetime-s` passed."""
    parser = argparse.ArgumentParser(prog="handfast.testing.fake_anthropic")
    parser.add_argument("--script", type=Path, help="JSON list of turns; without it: text 'ok'")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--lifetime-s", type=float, default=900.0)
    options = parser.parse_args(argv)
    turns = json.loads(options.script.read_text("utf-8")) if options.script else []
    if not isinstance(turns, list):
        parser.error(f"{options.script} does not hold a JSON list of turns")
    fake = FakeAnthropic(
        script(turns, at_end="ok"),
        port=options.port,
        log_path=options.log,
        lifetime_s=options.lifetime_s,
    )
    with fake, suppress(KeyboardInterrupt):
        print(fake.url, flush=True)
        fake.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
