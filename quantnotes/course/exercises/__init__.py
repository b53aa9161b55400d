"""Checked exercises: ``check("02.1", answer)`` says right or wrong, with a hint that fits the mistake.

The checks of each notebook live in a module of their own. Left out: the solutions, which are notebooks.
"""

from quantnotes.course.exercises._verdict import Verdict, check

__all__ = ["Verdict", "check"]
