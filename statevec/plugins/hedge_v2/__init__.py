"""Version 2 of the hedge engine, a plugin: steps ahead of the queue while much is missing. See `docs/hedge.md`."""
