"""A page of results to pass on: ``tools/bench SUITE --report DIR``.

One HTML file that needs nothing else: plots are drawn into it, and the samples lie in it as JSON.
It is made of the document that ``--json`` writes, so that ``python -m benchmarks.report FILE...
--output PAGE`` makes it again, of several suites if need be.

Blue is better than uvloop, red is worse, grey is the same. A bar is the median of the rounds'
ratios, its whisker reaches from the lowest round to the highest.

- reading: the document, as results
- comparing: ratios, and which workloads differ in one thing only
- plots: pictures of results
- markup: HTML that is well-formed XML too, so that a test can read it
- page: what stands where
"""
