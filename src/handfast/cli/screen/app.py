"""The full-screen inbox: the queue on the left, the case beside it, live."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from handfast.cli.output import cell
from handfast.cli.queue_list import counted
from handfast.cli.screen import verbs
from handfast.cli.screen.asking import Asking, Field
from handfast.cli.screen.case_text import case_text, row_text
from handfast.client import Client, calls, staff
from handfast.client.request import Request
from handfast.core.domain.errors import HandfastError

Handoff = dict[str, Any]
AGAIN_S: Final = 1.0
LIMIT: Final = 200
SETTLE_S: Final = 0.05
KEYS: Final = (
    ("j k", "next and previous case"),
    ("Enter", "read the case: arrows and Page keys scroll, Escape goes back"),
    ("a", "approve exactly what is shown"),
    ("e", "approve with edits"),
    ("s", "send an answer"),
    ("c", "request changes"),
    ("t", "take the run over"),
    ("r", "reject"),
    ("y n", "it ran, it did not run (doubts)"),
    ("h", "I have it"),
    ("o", "ask others instead"),
    ("z", "put it off"),
    ("?", "this list"),
    ("q", "leave"),
)
_DECIDING: Final = {
    "a": "Approve",
    "e": "Edit",
    "s": "Answer",
    "c": "Changes",
    "t": "Take over",
    "r": "Reject",
    "y": "It ran",
    "n": "It did not run",
}
_IN_THE_FOOTER: Final = ("a", "e", "s", "c", "t", "r")


class Queue(Screen[None]):
    """All state is the server's: what is shown is read again when the log says that something happened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "move(1)", "Next"),
        Binding("k", "move(-1)", "Previous"),
        Binding("escape", "back", "Back", show=False),
        *(
            Binding(key, f"decide('{key}')", _DECIDING[key], show=key in _IN_THE_FOOTER)
            for key in _DECIDING
        ),
        *(Binding(key, f"do('{what}')", words) for key, (what, words) in verbs.OTHERS.items()),
        Binding("question_mark", "keys", "Keys"),
        Binding("q", "app.quit", "Leave"),
    ]

    def __init__(self, client: Client, login: str, remember: Callable[[str], None]) -> None:
        super().__init__()
        self._client, self._login, self._remember = client, login, remember
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-wide")]
        self._items: list[Handoff] = []
        self._mine: set[str] = set()  # decided here: the receipt stays in view
        self.shown: Handoff | None = None
        self._dirty = asyncio.Event()

    def compose(self) -> ComposeResult:
        yield Static("", id="stops", markup=False)
        with Horizontal(id="panes"):
            yield OptionList(id="queue", markup=False)
            with VerticalScroll(id="case", can_focus=True):
                yield Static("", id="text", markup=False)
        yield Static("", id="status", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#queue").focus()
        self._follow()
        self._keep_current()

    # -- reading

    @work
    async def _follow(self) -> None:
        """Marks what is shown as old whenever the log grows; again and again, until the program ends."""
        after = -1
        while True:
            with suppress(HandfastError):
                if after < 0:
                    after = int((await self._client.asend(calls.audit_head()))["size"])
                self._dirty.set()
                async for event in self._client.events(calls.events_stream(after)):
                    after = int(event["position"])
                    self._dirty.set()
            self._dirty.set()
            await asyncio.sleep(AGAIN_S)

    @work
    async def _keep_current(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(SETTLE_S)  # what comes together is read once
            self._dirty.clear()
            await self._read()

    async def _read(self) -> None:
        try:
            self._items = list(
                (await self._client.asend(calls.handoffs("waiting", limit=LIMIT)))["items"]
            )
            stops = [cell(s["says"]) for s in await self._client.asend(staff.control())]
        except HandfastError as error:
            self._say(f"Not connected: {error.message}. Trying again.")
            return
        self.query_one("#stops", Static).update(Text("\n".join(f"STOPPED: {s}" for s in stops)))
        self._draw_queue()
        await self._draw_case()

    def _draw_queue(self) -> None:
        """The case before the reader stays the one that is marked, wherever it is now."""
        queue = self.query_one("#queue", OptionList)
        ids = [str(h["handoff_id"]) for h in self._items]
        marked = self.shown["handoff_id"] if self.shown else ""
        queue.clear_options()
        queue.add_options([Option(row_text(h), id=str(h["handoff_id"])) for h in self._items])
        if ids and (marked in ids or not self.shown):
            queue.highlighted = ids.index(marked) if marked in ids else 0
        self.query_one("#queue").border_title = counted(len(self._items), LIMIT)

    async def _draw_case(self) -> None:
        """Read again; a case that was decided meanwhile stays in view, with what became of it."""
        wanted = self.shown["handoff_id"] if self.shown else None
        if wanted is None and self._items:
            wanted = self._items[0]["handoff_id"]
        if wanted is None:
            self.query_one("#text", Static).update(Text("Nothing waits for you."))
            return
        await self.show(str(wanted))

    async def show(self, handoff_id: str) -> None:
        before = self.shown
        try:
            found: Handoff = await self._client.asend(calls.handoff(handoff_id))
        except HandfastError as error:
            self._say(f"{error.message}. {error.hint}")
            return
        self.shown = found
        same = before is not None and before["handoff_id"] == handoff_id
        if same and before != found:
            self._moved(before or {}, found)
        if not same or before != found:
            self.query_one("#text", Static).update(case_text(found))
        if not same:
            self.query_one("#case", VerticalScroll).scroll_home(animate=False)

    def _moved(self, before: Handoff, now: Handoff) -> None:
        d = now.get("decision")
        if now["handoff_id"] in self._mine:
            return
        if d and not before.get("decision"):
            self._say(f"Decided: {d['kind'].replace('_', ' ')} by {cell(d['by_name'], 80)}.")
        elif before["presented_digest"] != now["presented_digest"]:
            self._say("The case changed: it is now as shown. Look again before you decide.")

    # -- moving

    async def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        wanted = event.option.id
        if wanted and (self.shown is None or self.shown["handoff_id"] != wanted):
            await self.show(wanted)

    def on_option_list_option_selected(self) -> None:
        self.query_one("#case").focus()

    def action_back(self) -> None:
        self.query_one("#queue").focus()

    def action_move(self, by: int) -> None:
        queue = self.query_one("#queue", OptionList)
        if queue.option_count:
            at = -1 if queue.highlighted is None else queue.highlighted
            queue.highlighted = min(max(at + by, 0), queue.option_count - 1)

    def action_keys(self) -> None:
        _ = self.app.push_screen(Keys())

    # -- deciding

    def action_decide(self, key: str) -> None:
        offered = verbs.offered(self.shown, key) if self.shown else None
        if offered is None:
            self._say(verbs.instead(self.shown, key))
            return

        async def send(typed: Mapping[str, str]) -> str:
            return await self._send(lambda: verbs.decision(offered, typed), typed)

        ask = verbs.fields(offered, self._login)
        self._ask(offered.verb.label, offered.verb.following, ask, send)

    def action_do(self, what: str) -> None:
        handoff = self.shown
        if handoff is None or not handoff["waiting"]:
            self._say("This case does not wait any more.")
            return

        async def send(typed: Mapping[str, str]) -> str:
            return await self._send(lambda: verbs.other(handoff, what, typed), typed)

        words = next(w for name, w in verbs.OTHERS.values() if name == what)
        self._ask(words, "Decides nothing.", verbs.other_fields(what, self._login), send)

    def _ask(self, title: str, following: str, fields: tuple[Field, ...], send: Any) -> None:
        _ = self.app.push_screen(Asking(title, following, fields, send))

    async def _send(self, request: Callable[[], Request[Any]], typed: Mapping[str, str]) -> str:
        """'' when it was taken, else why not."""
        try:
            done = await self._client.asend(request())
        except HandfastError as error:
            self._dirty.set()
            return f"{error.message[:1].upper()}{error.message[1:]}. {error.hint}".strip()
        if done.get("decision"):
            self._mine.add(str(done["handoff_id"]))
        self._login = typed["person"]
        self._remember(self._login)
        self._say(_receipt(done))
        self._dirty.set()
        return ""

    def _say(self, words: str) -> None:
        self.query_one("#status", Static).update(Text(cell(words, 400)))


def _receipt(done: Handoff) -> str:
    d = done.get("decision")
    if not d:
        return "Recorded. It takes more before it is decided." if "takes" in done else "Recorded."
    grant = (done.get("grant") or {}).get("grant_id", "")
    said = (
        f"{d['kind'].replace('_', ' ').capitalize()} by {d['by_name']}, for {d['presented_digest']}"
    )
    return f"{said}. Grant {grant}" if grant else f"{said}."


class Keys(ModalScreen[None]):
    """What each key does."""

    CSS = "Keys { align: center middle; } #keys { width: auto; border: thick $primary; padding: 1 2; background: $surface; height: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "Back")
    ]

    def compose(self) -> ComposeResult:
        yield Static(Text("\n".join(f"{key:<6} {does}" for key, does in KEYS)), id="keys")


class Inbox(App[None]):
    """`client` speaks with the operator's token; each decision carries a person's login and PIN beside it."""

    TITLE = "Handfast"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #stops { color: $error; text-style: bold; height: auto; }
    #panes { height: 1fr; }
    #queue { width: 42; height: 1fr; border: round $primary; }
    #queue > .option-list--option-highlighted { background: $boost; color: $text; text-style: bold; }
    #queue:focus > .option-list--option-highlighted { background: $surface-lighten-2; color: $text; text-style: bold; }
    #case { border: round $primary; padding: 0 1; }
    #case:focus { border: round $accent; }
    #status { height: 1; color: $text-muted; padding: 0 1; }
    Queue.-narrow #panes { layout: vertical; }
    Queue.-narrow #queue { width: 1fr; height: 8; }
    """

    def __init__(
        self, client: Client, login: str = "", remember: Callable[[str], None] = lambda _: None
    ) -> None:
        super().__init__()
        self._client, self._login, self._remember = client, login, remember

    def on_mount(self) -> None:
        _ = self.push_screen(Queue(self._client, self._login, self._remember))

    async def on_unmount(self) -> None:
        await self._client.aclose()
