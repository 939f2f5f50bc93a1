"""statevec.engine"""
