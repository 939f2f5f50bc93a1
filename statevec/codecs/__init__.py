"""statevec.codecs"""
