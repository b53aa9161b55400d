"""Every choice of a range, tried on an array or on the tensors of a file: tables, and the command.

Not covered: which choice serves a network best, which a tensor alone cannot tell.
"""
