"""What a test does on a machine that lacks something: skip, or fail where it must not be lacking.

`HANDFAST_TEST_REQUIRE=postgres,browser,agents,bwrap` names what a skip must not hide; `.ci/run` sets it.
"""

import os
from typing import Literal, NoReturn

import pytest

Need = Literal["postgres", "browser", "agents", "bwrap"]


def required(what: Need) -> bool:
    return what in os.environ.get("HANDFAST_TEST_REQUIRE", "").split(",")


def missing(what: Need, why: str) -> NoReturn:
    """Skip the running test, or fail it when `what` is required. `why` says how to get it."""
    if required(what):
        pytest.fail(f"{what} is required and missing: {why}", pytrace=False)
    pytest.skip(f"{what}: {why}")
