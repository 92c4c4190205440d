"""What every request of a person carries: who they are, and their PIN beside a token."""

from typing import Annotated

from pydantic import Field

from handfast.server.api.schema_work import Asked

Words = Annotated[str, Field(max_length=20_000)]


class Proof(Asked):
    """A person beside a token: who, and their PIN. Not needed in a signed-in browser."""

    person: Annotated[str, Field(max_length=100)] = ""
    pin: Annotated[str, Field(max_length=100)] = ""
