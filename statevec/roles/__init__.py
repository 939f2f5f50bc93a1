"""statevec.roles"""
