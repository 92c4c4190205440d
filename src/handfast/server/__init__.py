"""The control plane: HTTP API, pages, event stream, deadline sweep. Synchronous inside, asynchronous only at the edges.

Lives here: `api/` (the REST routes and the OpenAPI document), `pages/` (the routes of the pages),
`web/` (their templates, view functions and assets), `application` (all of it as one ASGI
application) and `serving` (how it is run).

May enter: `app`, `engine`, `storage.api`, `observe`, `core`, and FastAPI, Starlette, Jinja2, Pygments, unidiff.
It never uses `client`.
"""
