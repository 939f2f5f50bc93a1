"""statevec.audit"""
