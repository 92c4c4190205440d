"""`@gate`: a Python function that a person approves before it runs.

- `decorator` is `gate`, `options` what may be declared.
- `arguments` and `operands` make the canonical form that an approval is bound to.
- `course` is what happens at a call, written once as a generator of steps; `drive` runs it in a thread or
  in an event loop.
- `receipt` is what callers get: the receipt with its undo, and the errors that mean waiting.
"""

from handfast.adapters.python.decorator import Gated, gate
from handfast.adapters.python.receipt import AlreadyRan, Ran, Receipt, Start, Waiting

__all__ = ["AlreadyRan", "Gated", "Ran", "Receipt", "Start", "Waiting", "gate"]
