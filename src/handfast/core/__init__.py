"""The pure core: what may happen and what follows from it.

Lives here: values, events, decisions and proofs. Every function gives the same answer for the same
arguments. What the core needs from the world (the time, an id, a fact about a command) is an argument.

May enter: the modules of the standard library that `tests/unit/test_house.py` lists; nothing else.
"""
