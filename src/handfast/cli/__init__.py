"""The `handfast` command: noun, verb, `--json`.

Lives here: commands as thin functions. Imports of the heavy parts stay inside the commands, so that
`--help` is quick.

May enter: `server`, `runner`, `client`, and what they rest on.
"""
