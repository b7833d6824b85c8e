"""The prober: open-loop HTTP traffic from a process of its own. See __main__.py for how it is talked to."""
