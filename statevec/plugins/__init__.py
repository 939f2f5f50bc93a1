"""statevec.plugins"""
