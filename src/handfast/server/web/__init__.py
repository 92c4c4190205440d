"""The pages: inbox and case page, readable and decidable without JavaScript.

Lives here: routes, templates, server-rendered diffs, style sheets. `dist/` is built from `web/` while
the package is built and is not in git.

May enter: `app`, `engine`, `core`, the rest of `server` but `api`.
"""
