"""A second opinion: the rules of scheduling written down again, by exhaustive search, for a handful of nodes and gangs.

It shares the facts with the engine and nothing else, and is slow and plain on purpose: `cluster` says what is where,
`quota` what queues may hold, `search` whether a gang fits, `rules` whose turn it is and who passes the gate.
"""
