"""statevec.demo"""
