"""The figures that count, each taken against its peers in the same run. `python -m bench` (or `make bench`) runs all."""
