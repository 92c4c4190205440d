"""REST, problem+json and the event stream, described by OpenAPI.

Lives here: routes, request and response models, the table from errors to problems.

May enter: `app`, `engine`, `core`, the rest of `server` but `web`.
"""
