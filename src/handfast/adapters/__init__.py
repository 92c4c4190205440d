"""Agent-side integrations, one a framework.

Lives here: hook settings and translations for each agent. Adapters never import each other.

May enter: `client`, `core`; each framework only in its own module.
"""
