"""The control plane as a process: HTTP in front of the engine.

Lives here: the ASGI application, authentication, sessions and limits; `api` for programs, `web` for
people.

May enter: `app`, `engine`, `core`. Never the client.
"""
