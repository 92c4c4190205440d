"""Handfast: a handoff control plane for software-engineering agents.

The way in, from the inside out:

- `core` decides: pure values and functions, no I/O.
- `observe` turns a real call into facts; `storage` keeps events and bodies.
- `engine` runs commands against the store; `app` wires one process together.
- `client` is the one way to the control plane for everything outside it.
- `server`, `runner`, `adapters` and `cli` are the surfaces; `testing` is the shipped test kit.

Importing this module loads nothing else.
"""

__version__ = "0.1.0"
