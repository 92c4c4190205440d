"""Checks a whole database: schema, log, tree, heads, states, bodies, and what lies beside the log.

One look at one moment, so a server may go on working. Nothing is changed.
"""

import hmac
import json
from collections.abc import Callable

from handfast.core.audit.bodies import body_digest
from handfast.core.domain.errors import IntegrityError
from handfast.engine.database.check_log import check_log
from handfast.engine.database.check_states import check_states
from handfast.engine.database.report import Progress, Report, silent
from handfast.engine.database.secrets import Secrets
from handfast.engine.keys import unseal
from handfast.storage.copies import Row, Snapshot

BODY = ("body_id", "salt", "nonce", "ciphertext", "digest", "media", "size")
_ALWAYS = (
    "whether this log replaced an older one signed with the same key: `audit verify --since` does",
    "files beside the database: keys, tokens, worktrees, copies of calendars",
)


def check(view: Snapshot, keys: Secrets, told: Progress = silent) -> Report:
    """Everything that can be known from the database and the keys at hand. Never raises for what is wrong
    with the data. Raises StorageError when it cannot be read."""
    report = Report()
    for difference in view.differences():
        report.wrong("schema", difference)
    report.checked["tables"] = len(view.shapes)
    parts: dict[str, Callable[[], None]] = {
        "log": lambda: check_log(view, keys.verifier, report, told),
        "heads": lambda: _log_key(view, keys, report),
        "states": lambda: check_states(view, report, told),
        "bodies": lambda: _bodies(view, keys.data, report, told),
        "outbox": lambda: _outbox(view, report),
        "leases": lambda: _leases(view, report),
    }
    for part, look in parts.items():
        try:
            look()
        except IntegrityError as e:
            report.wrong(part, f"cannot be read to its end: {e.message}")
    report.unchecked += _ALWAYS
    if view.left_out:
        report.unchecked.append(f"tables that are not Handfast's: {', '.join(view.left_out)}")
    return report


def _log_key(view: Snapshot, keys: Secrets, report: Report) -> None:
    """Whether the key at hand is the one the log was begun with."""
    if keys.verifier is None:
        return
    begun = log_verifier(view)
    if begun and begun != str(keys.verifier):
        report.wrong("heads", "the signing key in the data folder is not the one of this log")


def log_verifier(view: Snapshot) -> str:
    """The public key in the log's first entry; '' when there is none."""
    first = next(view.rows("event", ("data",), ("position",)), None)
    try:
        found = json.loads(bytes(first[0]))["data"]["verifier"] if first else ""
    except (ValueError, LookupError, TypeError):
        return ""
    return str(found)


def _bodies(view: Snapshot, data_key: bytes | None, report: Report, told: Progress) -> None:
    total, erased = view.count("body"), 0
    for number, row in enumerate(view.rows("body", BODY), start=1):
        if not row[2]:
            erased += 1
            if row[1] or row[3]:
                report.wrong("bodies", f"`{row[0]}` is erased by half")
        elif data_key is not None and (why := _why_wrong(row, data_key)):
            report.wrong("bodies", f"`{row[0]}`: {why}")
        if number % 100 == 0:
            told("bodies", number, total)
    report.checked["bodies"], report.checked["erased bodies"] = total, erased
    if data_key is None and total:
        report.unchecked.append("the content of bodies: there is no data key in the data folder")


def _why_wrong(row: Row, data_key: bytes) -> str:
    body_id, salt, nonce, ciphertext, digest, media, size = row
    try:
        plain = unseal(data_key, str(body_id), str(media), nonce, ciphertext)
    except IntegrityError:
        return "it cannot be opened: another data key, or changed bytes"
    if len(plain) != size:
        return f"it has {len(plain)} bytes, and says {size}"
    if not hmac.compare_digest(body_digest(salt, [plain]), str(digest)):
        return "its content is not what was recorded"
    return ""


def _outbox(view: Snapshot, report: Report) -> None:
    last = view.counters().get("outbox", 0)
    number = 0
    for row_id, topic, payload in view.rows("outbox", ("id", "topic", "payload")):
        number += 1
        if int(row_id) > last:
            report.wrong("outbox", f"row {row_id} is beyond the last id given out, {last}")
        if not topic or not _is_json(payload):
            report.wrong("outbox", f"row {row_id} cannot be delivered: its payload cannot be read")
    report.checked["outbox"] = number


def _is_json(payload: bytes) -> bool:
    try:
        return isinstance(json.loads(payload), dict)
    except ValueError:
        return False


def _leases(view: Snapshot, report: Report) -> None:
    number = 0
    for resource, holder, epoch in view.rows("lease", ("resource", "holder", "epoch")):
        number += 1
        if not resource or not holder or int(epoch) < 1:
            report.wrong("leases", f"the lease of `{resource}` has no holder or no epoch")
    report.checked["leases"] = number
