"""An agent in a sandbox of its own: bubblewrap, private objects of git, and a network of named hosts.

    probe → can it be done here?          places → what of the file system is seen
    objects → git's part of it            relay → the only ways out to the network
    entry → the first program inside      sandbox → all of it put together

Start at `sandbox.contain`. What it gives and what it does not is in `docs/containment.md`.
"""
