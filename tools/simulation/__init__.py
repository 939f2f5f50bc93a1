"""What `tools/simulate` is made of: statevec's processes in one thread and virtual time, in an order from a seed."""
