"""Checks on one entry after another: canonical form, envelope, dense versions, body references."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from handfast.core.audit.bodies import BodyReference, reference_of
from handfast.core.audit.notebook import MemoryNotebook, Notebooks
from handfast.core.audit.report import Findings
from handfast.core.domain.canonical import MAX_SAFE_INTEGER, canonical_json
from handfast.core.domain.errors import UsageError

_MAX_WHY = 500
_ERASURES = frozenset({"body.erased", "bodies.erased"})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False
).encode


def _integer(text: str) -> int:
    # The length test comes first: int() is slow on a number of many digits.
    if len(text) > 17 or not -MAX_SAFE_INTEGER <= (value := int(text)) <= MAX_SAFE_INTEGER:
        raise ValueError(text)
    return value


def _refuse(text: str) -> None:
    raise ValueError(text)


_decode = json.JSONDecoder(
    parse_int=_integer, parse_float=_refuse, parse_constant=_refuse
).raw_decode


def decode_canonical(raw: bytes) -> object:
    """The JSON value of `raw`. Raises ValueError unless `raw` is its canonical encoding.

    Text in ASCII takes a short way: with floats and large integers refused by the decoder, the
    standard encoder with sorted keys writes the same bytes as `canonical_json`.
    """
    try:
        value: object
        value, _ = _decode(raw.decode())  # what follows the value shows when encoded again
        again = _encode(value).encode() if raw.isascii() else canonical_json(value)
    except (RecursionError, UsageError) as error:
        raise ValueError(str(error)) from None
    if again != raw:
        raise ValueError("not canonical")
    return value


@dataclass(frozen=True, slots=True)
class Erased:
    """The entry that records an erasure: who (`person pe_1`), and why in their words or retention's."""

    position: int
    by: str
    why: str


class EntryCheck:
    """Feeds on entries in order. What grows with streams and bodies is in notebooks."""

    def __init__(self, findings: Findings, notebooks: Notebooks = MemoryNotebook) -> None:
        self._findings = findings
        self._versions = notebooks()
        self._erasures = notebooks()
        self.records: dict[int, Erased] = {}
        self.dense = True
        self.streams = 0
        self.bodies = notebooks()  # BodyReference by id: `reference_of`

    def erased(self, body_id: str) -> Erased | None:
        """The first entry that records the erasure of a body."""
        found = self._erasures.get(body_id)
        return None if found is None else self.records[int(found)]

    def check(self, position: int, raw: bytes) -> None:
        try:
            event = decode_canonical(raw)
        except ValueError:
            self._findings.add(
                "not_canonical",
                f"The entry at position {position} is not canonical JSON.",
                position=position,
            )
            return
        if not isinstance(event, dict) or not _is_envelope(event):
            self._findings.add(
                "envelope",
                f"The entry at position {position} is not an event: it needs id, type, stream, "
                "version, at and actor.",
                position=position,
            )
            return
        stream, version = event["stream"], event["version"]
        known = self._versions.get(stream)
        self.streams += known is None
        expected = 1 if known is None else int(known) + 1
        if version != expected:
            self.dense = False
            self._findings.add(
                "version",
                f"The entry at position {position} is version {version} of `{stream}`; "
                f"version {expected} was due.",
                position=position,
                event_id=event["id"],
            )
        self._versions.put(stream, b"%d" % version)
        if b'"body_id' in raw:
            self._note_bodies(position, event)

    def _note_bodies(self, position: int, event: Mapping[str, object]) -> None:
        data = event.get("data")
        if event["type"] in _ERASURES and isinstance(data, dict):
            self._note_erasure(position, event, data)
        pending: list[object] = [event]
        for value in pending:  # grows on the way
            inner: Iterable[object] = ()
            if type(value) is dict:
                if "body_id" in value and "digest" in value:
                    self._note_body(position, str(event["id"]), value)
                inner = value.values()
            elif type(value) is list:
                inner = value
            pending += [x for x in inner if type(x) is dict or type(x) is list]

    def _note_erasure(
        self, position: int, event: Mapping[str, object], data: Mapping[str, object]
    ) -> None:
        """One body, or a batch of them; the first entry that records it counts."""
        ids = data.get("body_ids") if "body_ids" in data else [data.get("body_id")]
        self.records[position] = Erased(
            position, _by(event["actor"]), str(data.get("reason", ""))[:_MAX_WHY]
        )
        for body_id in map(str, ids if isinstance(ids, list) else []):
            if self._erasures.get(body_id) is None:
                self._erasures.put(body_id, b"%d" % position)

    def _note_body(self, position: int, event_id: str, value: Mapping[str, object]) -> None:
        body_id, digest, size = value["body_id"], value["digest"], value.get("size")
        if not isinstance(body_id, str) or not isinstance(digest, str) or type(size) is not int:
            self._findings.add(
                "body_reference",
                f"The entry at position {position} refers to a body without id, digest or size.",
                position=position,
                event_id=event_id,
            )
            return
        stored = self.bodies.get(body_id)
        if stored is None:
            self.bodies.put(body_id, BodyReference(position, event_id, digest, size).to_bytes())
            return
        known = reference_of(stored)
        if (known.digest, known.size) != (digest, size):
            self._findings.add(
                "body_reference",
                f"The entry at position {position} gives body `{body_id}` another digest or size "
                f"than the entry at position {known.position}.",
                position=position,
                event_id=event_id,
            )


def _by(actor: object) -> str:
    """`person pe_1`, `system handfast`."""
    if isinstance(actor, dict):
        return f"{actor.get('type', '')} {actor.get('id', '')}".strip()
    return str(actor)


def _is_envelope(event: Mapping[str, object]) -> bool:
    get = event.get
    version, at, actor = get("version"), get("at"), get("actor")
    return (
        type(get("id")) is type(get("type")) is type(get("stream")) is str
        and "" not in (event["id"], event["type"], event["stream"])
        and type(version) is int
        and version >= 1
        and type(at) is str
        and _TIME.fullmatch(at) is not None
        and type(actor) in (dict, str)
        and bool(actor)
    )
