"""statevec.journal"""
