"""Preview and undo: what is known of an action before it runs, and who says so."""

from typing import cast

from handfast.engine.kernel import Result
from handfast.engine.preview import CALLER
from tests.engine_room import Room


def will(room: Room, handoff_id: object) -> Result:
    package = cast("Result", room.engine.views.handoff(cast("str", handoff_id))["package"])
    return cast("Result", package["what_will_happen"])


def test_what_a_caller_declares_is_shown_as_the_callers_word(room: Room) -> None:
    asked = room.propose("t1", "git push", preview="would push 2 commits", undo="git push -d tag")
    shown = will(room, asked["handoff_id"])
    assert (shown["preview"], shown["preview_about"]) == ("would push 2 commits", CALLER)
    assert (shown["undo"], shown["undo_about"]) == ("git push -d tag", CALLER)


def test_a_preview_holds_no_secret_and_is_bounded(room: Room) -> None:
    secret = "ghp_" + "a1B2" * 9
    text = f"token {secret}\n" + "x" * 150_000 + "\u202e"
    shown = cast(
        "str", will(room, room.propose("t1", "git push", preview=text)["handoff_id"])["preview"]
    )
    assert secret not in shown
    assert "\u202e" not in shown
    assert len(shown) <= 60_100


def test_without_a_preview_nothing_is_said_of_one(room: Room) -> None:
    shown = will(room, room.propose("t1", "git push")["handoff_id"])
    assert (shown["preview"], shown["preview_about"], shown["undo"]) == ("", "", "")
