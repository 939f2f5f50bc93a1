"""One dealing in each tier, for the tests of single rules; and version 2 that joins the queue, for it is version 1."""

from __future__ import annotations

import pytest

from tests.hedge.dealing import Dealing


@pytest.fixture(params=["compiled", "interpreted", "version 2"])
def dealing(request: pytest.FixtureRequest) -> Dealing:
    if request.param == "version 2":
        return Dealing("compiled", version="2", improve_ticks=0)
    return Dealing(request.param)
