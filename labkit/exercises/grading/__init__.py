"""Grading what was handed in, without trusting it. The command is `python -m labkit.exercises.grade`.

Two processes, and one rule: **the one that knows the right answers never runs a student's code, and the one
that runs it never learns the answers.**

- the *grader* (`grade`, `submissions`, `sandbox`) reads notebooks as text, sends cells and inputs to a worker,
  gets values back as JSON (never as pickles) and judges them with the course's own references;
- the *worker* (`worker`, `confine`) runs in a sandbox where the file system is read-only, without the
  references, the masters, the home folder and other submissions; it has no network, and may start no process.

So the most that hostile code can do is to return values. It can't change what they are compared with, because
that happens elsewhere. What remains: the cases are public, so a function may be a table of their answers. That
is worth its own author's mark, and nobody else's.
"""
