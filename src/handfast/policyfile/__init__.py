"""A policy file as people write it, made into rules that can be asked: YAML, and conditions in CEL.

Lives here: `load` (text to a checked rulebook), `positions` (which line a field stands on), `conditions`
(the seam to the expression language) and `lint` (what is legal but cannot be meant).

May enter: `core`. The language libraries are loaded when the first policy is.
"""
