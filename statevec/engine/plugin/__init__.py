"""The plugin contract: what a plugin declares, how it is checked, and both ways to run it."""
