"""What the scripted model says, and what it can read of the agent's request.

A turn is text, or a list of text and tool calls. `script` plays turns in order; a `Decide` of
your own may answer by what the request holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

Json = dict[str, Any]
Block = Json
Turn = str | Sequence[Block | str]
Decide = Callable[["ModelRequest"], Sequence[Block | str] | str]


def text(words: str) -> Block:
    """A text block; a turn that holds nothing else ends the agent's turn."""
    return {"type": "text", "text": words}


def tool(name: str, tool_input: Mapping[str, Any], *, call_id: str | None = None) -> Block:
    """A tool call. Without `call_id` the server draws one that no earlier call had."""
    block: Block = {"type": "tool_use", "name": name, "input": dict(tool_input)}
    if call_id is not None:
        block["id"] = call_id
    return block


def bash(command: str, *, description: str = "run", call_id: str | None = None) -> Block:
    """A call of the agent's shell tool."""
    return tool("Bash", {"command": command, "description": description}, call_id=call_id)


def subagent(prompt: str, *, kind: str = "general-purpose", wait: bool = True) -> Block:
    """A call that starts a sub-agent; `wait=False` asks for a background one."""
    fields: Json = {"description": "delegated part", "prompt": prompt, "subagent_type": kind}
    fields["run_in_background"] = not wait
    return tool("Agent", fields)


@dataclass(frozen=True)
class ToolResult:
    """What the agent reported for one call, as the model saw it."""

    call_id: str
    content: str
    is_error: bool


@dataclass(frozen=True)
class ModelRequest:
    """One `POST /v1/messages` of the agent."""

    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def messages(self) -> list[Json]:
        """The conversation the agent sent, oldest first."""
        return cast("list[Json]", self.body.get("messages") or [])

    @property
    def tool_names(self) -> frozenset[str]:
        """Names of the tools the model may call in this request."""
        return frozenset(str(each.get("name")) for each in self.body.get("tools") or [])

    @property
    def is_side_request(self) -> bool:
        """Whether this asks for a title, a summary or a warm-up and offers no tools."""
        return not self.tool_names

    def words(self) -> str:
        """All text and tool results of the conversation, for matching in a `Decide`."""
        return "\n".join(_words_of(each.get("content")) for each in self.messages)

    def first_user_words(self) -> str:
        """The opening user message: the prompt of a session or of a sub-agent."""
        return _words_of(self.messages[0].get("content")) if self.messages else ""

    def tool_calls(self) -> list[Block]:
        """Every tool call in the conversation so far, in order."""
        return [
            block
            for message in self.messages
            if message.get("role") == "assistant"
            for block in _blocks_of(message)
            if block.get("type") == "tool_use"
        ]

    def tool_results(self) -> list[ToolResult]:
        """Every tool result in the conversation so far, in order."""
        return [
            ToolResult(
                call_id=str(block.get("tool_use_id")),
                content=_words_of(block.get("content")),
                is_error=bool(block.get("is_error")),
            )
            for message in self.messages
            for block in _blocks_of(message)
            if block.get("type") == "tool_result"
        ]


def _blocks_of(message: Mapping[str, Any]) -> list[Block]:
    content = message.get("content")
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []


def _words_of(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts: list[str] = []
    for block in content:
        if isinstance(block, str):
            parts.append(block)
        elif isinstance(block, dict):
            parts.append(str(block.get("text") or _words_of(block.get("content"))))
    return "\n".join(parts)


def script(
    turns: Sequence[Turn],
    *,
    subagents: Mapping[str, Sequence[Turn]] | None = None,
    side_answer: str = "ok",
    at_end: str = "done",
) -> Decide:
    """Play `turns` one after another, whatever the agent answers.

    The place in the script is kept by the server, not read from the conversation, so a
    session may be killed, deferred and resumed and the next request gets the next turn.
    `subagents` maps a word in a sub-agent's prompt to the turns of that sub-agent. A request
    without tools gets `side_answer` and uses up nothing; after the last turn comes `at_end`.
    """
    lock = threading.Lock()
    lines: dict[str, Iterator[Turn]] = {
        word: iter(part) for word, part in (subagents or {}).items()
    }
    main = iter(turns)

    def decide(request: ModelRequest) -> Sequence[Block | str] | str:
        if request.is_side_request:
            return side_answer
        opening = request.first_user_words()
        with lock:
            for word, line in lines.items():
                if word in opening:
                    return next(line, at_end)
            return next(main, at_end)

    return decide
