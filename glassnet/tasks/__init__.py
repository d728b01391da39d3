"""One file per kind of problem, each ending in ``TASK = Task(...)``."""
