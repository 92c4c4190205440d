"""Outbound notifications: what a message says, and the channels that carry it.

Lives here: `message` draws a notice from recorded
facts, `mail`, `slack`, `service` and `webhook` speak to the outside, `sending` carries out one delivery
of the relay. Whom to tell and when is `engine.notices`; what an operator set up is `engine.outlets`.

May enter: `core`, `storage.api`, the rest of `engine`.
"""
