"""Agent-side integrations, one a framework.

Lives here: hook settings and translations for each agent, and `python`, the gate for functions. Adapters
never import each other.

May enter: `client`, `core`, and `observe.secrets` to blank credentials; each framework only in its own
module.
"""
