"""Which stages there are and which loops they share: each step is a function from Program to Program, and changes no
bit.
"""
