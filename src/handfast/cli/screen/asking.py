"""The form over the inbox: what a decision needs, typed; a refusal keeps what was typed."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Select, Static, TextArea

from handfast.cli.output import cell


@dataclass(frozen=True, slots=True)
class Field:
    """One thing to type. `kind`: line, text, secret, or a choice of `options` (words, value)."""

    name: str
    label: str
    kind: str = "line"
    value: str = ""
    options: tuple[tuple[str, str], ...] = ()


Send = Callable[[Mapping[str, str]], Awaitable[str]]


class Asking(ModalScreen[bool]):
    """Asks for the fields and sends them. `send` gives '' when it is done, else what to correct: then all that
    was typed stays, but for secrets. Gives True when it was sent, False when the person thought better of it."""

    CSS = """
    Asking { align: center middle; }
    #ask { width: 90%; max-width: 100; height: auto; max-height: 90%; border: thick $primary; padding: 1 2; background: $surface; }
    #ask TextArea { height: 6; }
    #ask Label { margin-top: 1; }
    #problem { color: $error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        Binding("ctrl+s", "send", "Send", priority=True),
    ]

    def __init__(self, title: str, following: str, fields: tuple[Field, ...], send: Send) -> None:
        super().__init__()
        self._title, self._following, self._fields, self._send = title, following, fields, send
        self._sending = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="ask"):
            yield Static(Text(self._title, style="bold"))
            yield Static(Text(self._following, style="dim"))
            yield Static("", id="problem", markup=False)
            for f in self._fields:
                yield Label(Text(cell(f.label)))
                yield _widget(f)
            yield Button("Send  (ctrl+s)", id="send", variant="primary")

    def on_mount(self) -> None:
        empty = next((f for f in self._fields if not f.value), self._fields[0])
        self.query_one(f"#f-{empty.name}").focus()

    def typed(self) -> dict[str, str]:
        found = {}
        for f in self._fields:
            widget = self.query_one(f"#f-{f.name}")
            if isinstance(widget, TextArea):
                found[f.name] = widget.text
            elif isinstance(widget, Input | Select):
                found[f.name] = str(widget.value)
        return found

    async def on_button_pressed(self) -> None:
        await self.action_send()

    async def on_input_submitted(self) -> None:
        await self.action_send()

    async def action_send(self) -> None:
        if self._sending:
            return
        self._sending = True
        try:
            problem = await self._send(self.typed())
        finally:
            self._sending = False
        if not problem:
            _ = self.dismiss(result=True)
            return
        self.query_one("#problem", Static).update(Text(cell(problem, 400)))
        for f in self._fields:
            if f.kind == "secret":
                self.query_one(f"#f-{f.name}", Input).value = ""

    def action_leave(self) -> None:
        _ = self.dismiss(result=False)


def _widget(f: Field) -> TextArea | Input | Select[str]:
    name = f"f-{f.name}"
    if f.kind == "text":
        return TextArea(f.value, id=name, tab_behavior="focus")
    if f.kind == "choice":
        return Select(f.options, value=f.value, allow_blank=False, id=name)
    return Input(f.value, password=f.kind == "secret", id=name)
