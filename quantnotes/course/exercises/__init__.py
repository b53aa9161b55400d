"""Checked exercises: ``check("02.1", answer)`` says right or wrong, with a hint that fits the mistake.

The checks of each notebook have a module of their own. Not covered: the solutions, which are notebooks.
"""

from quantnotes.course.exercises._verdict import Verdict, check

__all__ = ["Verdict", "check"]
