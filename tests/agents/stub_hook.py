"""A hook server that records what it is asked and answers what the test says."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Payload = dict[str, Any]
Raw = tuple[int, bytes]
Answer = Callable[[Payload], Payload | Raw]


def decision(word: str, **fields: object) -> Payload:
    """A PreToolUse answer; `fields` are its other members, in the wire's own names."""
    return {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": word,
            **fields,
        }
    }


def allow(**fields: object) -> Payload:
    return decision("allow", **fields)


def deny(reason: str) -> Payload:
    return decision("deny", permissionDecisionReason=reason)


def defer() -> Payload:
    return decision("defer")


@dataclass
class Seen:
    """One call of the hook; `answered_at` (monotonic seconds) is 0 while it waits."""

    payload: Payload
    headers: dict[str, str]
    asked_at: float
    answered_at: float = 0.0


@dataclass
class StubHook:
    """Answers PreToolUse by `answer`, everything else by `answer_event` (nothing to say)."""

    answer: Answer
    answer_event: Answer = field(default=lambda _: {})
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        handler = type("Handler", (_Handler,), {"hook": self})
        self._http = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/hooks/claude-code"

    def events(self, name: str) -> list[Payload]:
        return [each.payload for each in self.seen if each.payload["hook_event_name"] == name]

    @property
    def asked(self) -> list[Payload]:
        return self.events("PreToolUse")

    def wait_asked(self, count: int = 1, timeout_s: float = 20.0) -> None:
        """Return once PreToolUse was called `count` times."""
        deadline = time.monotonic() + timeout_s
        while len(self.asked) < count:
            assert time.monotonic() < deadline, f"the hook was called {len(self.asked)} times"
            time.sleep(0.02)

    def stop(self) -> None:
        """Close the port; may be called twice."""
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hook: StubHook

    def log_message(self, fmt: str, *args: object) -> None:
        return

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
        seen = Seen(payload, dict(self.headers.items()), time.monotonic())
        self.hook.seen.append(seen)
        gated = payload["hook_event_name"] == "PreToolUse"
        said = (self.hook.answer if gated else self.hook.answer_event)(payload)
        status, raw = said if isinstance(said, tuple) else (200, json.dumps(said).encode())
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
        except OSError:
            return
        seen.answered_at = time.monotonic()
