"""Random transactions in a process of their own, whose kernels check every access (STATEVEC_CHECKED=1)."""

from statevec.ipc.kernel import CHECKED
from tests.state.oracle_driver import Driver
from tests.state.state_harness import Store, small_tables

assert CHECKED, "start with STATEVEC_CHECKED=1"
driver = Driver(Store(small_tables()), seed=5)
for _ in range(1000):
    driver.step()
driver.compare()
print(driver.outcomes)
