"""From the outbox to the outside: deliveries and schedules, at least once.

Lives here: what picks up outbox rows, carries them out under the row's id, and marks them done. No
human wait is held here: a waiting handoff is a row.

May enter: `core`, `storage.api`, the rest of `engine`.
"""
