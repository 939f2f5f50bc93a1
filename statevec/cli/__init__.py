"""statevec.cli"""
