"""One dealing in each tier, for the tests of single rules."""

from __future__ import annotations

import pytest

from tests.hedge.dealing import Dealing


@pytest.fixture(params=["compiled", "interpreted"])
def dealing(request: pytest.FixtureRequest) -> Dealing:
    return Dealing(request.param)
