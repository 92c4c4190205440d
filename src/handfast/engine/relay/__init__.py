"""From the outbox to the outside: deliveries, segments and schedules, at least once.

Lives here: `relay` picks up outbox rows and takes over from dead servers, `attempts` carries one out,
`routing` says what goes where, `deliveries` is what people see and ask for, `durable` is the only module
that knows DBOS. No wait of a person is held here: a waiting handoff is a row.

May enter: `core`, `storage.api`, the rest of `engine`. DBOS is loaded when a relay starts, not before.
"""
