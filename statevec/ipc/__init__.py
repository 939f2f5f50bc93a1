"""statevec.ipc"""
