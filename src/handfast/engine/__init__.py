"""Commands against the store: the imperative shell of the core.

Lives here: command handlers, the unit of work, idempotency, projections, leases, the deadlines sweep,
and `relay` for work that leaves the process. `clock` and `ids` are the only modules of the product that
read the clock and draw ids.

May enter: `core`, `storage.api`.
"""
