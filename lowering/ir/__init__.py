"""The loop program: addresses, expressions, nodes, and all that knows every kind of node: the printer, the checker and
the interpreter.
"""
