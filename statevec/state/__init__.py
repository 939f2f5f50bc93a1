"""statevec.state"""
