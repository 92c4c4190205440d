"""The sink that says in the server's log which handoffs wait, each with its link."""

from collections.abc import Callable

from handfast.core.domain.inert import inert
from handfast.engine.facade import Engine
from handfast.engine.relay.routing import Delivery, Sink


def announcer(engine: Engine, url: str, say: Callable[[str], None]) -> Sink:
    """One line a waiting handoff: its risk, the ask and the page. Nothing for one that waits no more."""

    def announce(delivery: Delivery) -> None:
        handoff_id = str(delivery.payload["handoff_id"])
        handoff = engine.views.handoff(handoff_id)
        if handoff["waiting"]:
            ask = inert(str(handoff["ask"]), 200, multiline=False)
            say(
                f"Waiting for a person ({handoff['risk']} risk): {ask}  {url}/handoffs/{handoff_id}"
            )

    return Sink("server.announce", "handoff.requested", announce)
