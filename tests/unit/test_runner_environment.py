import pytest

from handfast.core.domain.errors import UsageError
from handfast.runner.environment import scrubbed_environment

BASE = {
    "PATH": "/bin",
    "HOME": "/home/a",
    "LC_CTYPE": "C.UTF-8",
    "https_proxy": "http://proxy:1",
    "NO_PROXY": "localhost",
    "AWS_SECRET_ACCESS_KEY": "x",
    "GITHUB_TOKEN": "x",
    "SSH_AUTH_SOCK": "/run/agent",
    "GIT_DIR": "/elsewhere",
    "ANTHROPIC_API_KEY": "key",
    "HANDFAST_HOME": "/data",
    "HANDFAST_TOKEN": "hfr_abc",
    "TERM": "hfo_abc",
}


def test_what_programs_need_stays_and_secrets_go() -> None:
    assert set(scrubbed_environment(BASE)) == {
        "PATH",
        "HOME",
        "LC_CTYPE",
        "https_proxy",
        "NO_PROXY",
    }


def test_named_variables_are_kept_but_never_ours() -> None:
    kept = scrubbed_environment(BASE, ("ANTHROPIC_*", "HANDFAST_*", "*"))
    assert kept["ANTHROPIC_API_KEY"] == "key"
    assert "GITHUB_TOKEN" in kept
    assert not {"HANDFAST_HOME", "HANDFAST_TOKEN", "TERM"} & set(kept)


def test_extra_wins_and_may_be_ours() -> None:
    extra = {"HANDFAST_TOKEN": "hfa_agent", "PATH": "/other"}
    kept = scrubbed_environment(BASE, extra=extra)
    assert kept["HANDFAST_TOKEN"] == "hfa_agent"
    assert kept["PATH"] == "/other"


@pytest.mark.parametrize("token", ["hfo_abc", "Bearer hfr_abc"])
def test_no_token_of_ours_is_handed_over(token: str) -> None:
    with pytest.raises(UsageError) as caught:
        scrubbed_environment(BASE, extra={"X": token})
    assert caught.value.details["field"] == "X"
    assert token not in caught.value.message
