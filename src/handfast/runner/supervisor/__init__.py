"""Takes runs from the server, starts their agents, and sees each through to its end.

    lease → end what an earlier runner left → settle → start, resume, merge or discard → report

Start at `service.Supervisor`. `life` decides what a leased run needs; the other modules each do one part
of it. Every step may be repeated: a runner that is killed is followed by one that takes the lease over.
"""
