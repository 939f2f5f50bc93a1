"""Lets the tests beside this file, and those of `audit`, import the helpers beside it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
