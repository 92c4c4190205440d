"""An installation that tells people: its notify.yaml, and the outbox carried out as a relay would."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from handfast.core.domain.events import Actor
from handfast.engine.channels.sending import notifiers
from handfast.engine.facade import Engine
from handfast.engine.relay.routing import Delivery, Routes

URL = "https://handfast.example"


def write_settings(home: Path, settings: Mapping[str, Any]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "notify.yaml").write_text(yaml.safe_dump(dict(settings)))


def browser(person_id: str) -> Actor:
    return Actor("person", person_id, "browser")


def deliver(engine: Engine, url: str = URL) -> list[str]:
    """Every row until there is none, each once. Gives the topics. Raises what a receiver raised."""
    routes, topics = Routes(notifiers(engine, url)), []
    while rows := engine.kernel.store.outbox(100):
        for row in rows:
            topics.append(row.topic)
            for sink in routes.sinks_of(row.topic):
                sink.work(Delivery(row.id, row.topic, json.loads(row.payload), row.attempts + 1))
            engine.kernel.store.outbox_done([row.id])
    return topics


def statuses(engine: Engine, handoff_id: object) -> list[str]:
    return [str(n["status"]) for n in engine.notices.of_handoff(str(handoff_id))]
