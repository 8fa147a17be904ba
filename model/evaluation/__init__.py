"""Measuring detectors: which files a release may be tested on, what it says of them, and what that is worth.

`choosing` picks the files, `scoring` asks a `scorers.Scorer` (a release or a peer) and remembers the `answers`,
`reporting` makes the figures, `pages` and `pictures` show them. It refuses to score a file that was learnt from.
"""
