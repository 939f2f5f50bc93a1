"""statevec: business logic as a deterministic state machine over one log in shared memory."""

__version__ = "0.1.0"
