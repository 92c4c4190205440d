"""Sign-in at an identity provider with OpenID Connect: its settings, its keys, the two halves of a sign-in.

May enter: `engine`, `core`, authlib and joserfc. Nothing here is loaded before a provider is configured.
"""
