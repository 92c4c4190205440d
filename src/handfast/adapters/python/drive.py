"""Plays a course: in a thread, or in an event loop. Neither knows what a step is for."""

import inspect
from collections.abc import Generator
from typing import Any, TypeVar

from handfast.adapters.python.steps import Invoke, Step
from handfast.client import Client
from handfast.core.domain.errors import UsageError

R = TypeVar("R")


def play(steps: Generator[Step, Any, R], client: Client) -> R:
    """Play to the end. Raises what the course raises."""
    try:
        step = next(steps)
        while True:
            try:
                answer = _called(step) if isinstance(step, Invoke) else client.send(step)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - the course decides what it means
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as end:
        given: R = end.value
        return given


async def aplay(steps: Generator[Step, Any, R], client: Client) -> R:
    """As `play`. A cancellation reaches the course where it waits, so that it can record what it cut off."""
    try:
        step = next(steps)
        while True:
            try:
                answer = await (_awaited(step) if isinstance(step, Invoke) else client.asend(step))
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - the course decides what it means
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as end:
        given: R = end.value
        return given


def _called(step: Invoke) -> object:
    found = step.work()
    if inspect.isawaitable(found):
        close = getattr(found, "close", None)
        if close:
            close()
        raise UsageError("a function that is not async gave something to await")
    return found


async def _awaited(step: Invoke) -> object:
    found = step.work()
    return await found if inspect.isawaitable(found) else found
