"""Fixtures of the tests that talk to a running server."""

from tests.served import prepared as prepared
from tests.served import served as served
