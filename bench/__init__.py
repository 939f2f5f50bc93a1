"""The figures that count, each against its peers in the same run: `python -m bench`, or `make bench`."""
