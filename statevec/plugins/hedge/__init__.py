"""The hedge engine: a plugin that works towards a hedge target inside limits. `docs/hedge.md` explains it to a trader."""
