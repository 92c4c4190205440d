"""The one way to the control plane for runners, adapters, the command line and users.

Lives here: one Client, in process or over HTTP.

May enter: `core`, `app`, an HTTP library.
"""
