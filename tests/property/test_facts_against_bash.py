"""Whatever real bash runs that destroys something has been seen in the text before.

400 samples; with `--hypothesis-profile=thorough` 2,000. `python -m tests.property.bash_oracle 2000` says
the same with figures.
"""

import pytest
from hypothesis import settings

from tests.property.bash_oracle import explore

SAMPLES = 2000 if settings().max_examples >= 1000 else 400


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_bash_destroys_nothing_unseen() -> None:
    outcomes = explore(SAMPLES, seed=20261126)
    destroyed = [each for each in outcomes if each.ran]
    assert len(destroyed) > SAMPLES // 2, "too few samples ran anything: the oracle is blind"
    assert [(each.text, each.ran) for each in destroyed if not each.seen] == []
