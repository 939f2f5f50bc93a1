"""What is loaded before the processes of a kill matrix are forked: everything that makes a start slow.

Importing this module in the fork server, which has one thread and compiles nothing afterwards, lets each engine begin
with the interpreter, the compiler and the machine code in memory. `--fresh` does without it.

It leaves nothing behind.
"""

from __future__ import annotations

import statevec.roles.gateway
import statevec.roles.producer
import statevec.roles.snapshot_taker
from statevec.roles.engine_process import run_engine
from statevec.roles.warm_up import warm_up

warm_up()

LOADED = (run_engine, statevec.roles.gateway, statevec.roles.producer, statevec.roles.snapshot_taker)
