"""The hedge engine, a plugin: works towards a hedge target inside limits. `docs/hedge.md` explains it to a trader."""
