"""Routes of the pages: what is read from the engine, what a form does.

Lives here: sign-in, inbox, case, runs, static files. Templates and the functions that fill them are
in `server.web`.

May enter: `app`, `engine`, `core`, the rest of `server` but `api`.
"""
