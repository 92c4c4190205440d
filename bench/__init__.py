"""Measured figures beside their floors, all in one run on one machine: `make bench`.

Every figure has a definition; machines are noisy, so what counts is the ratio to the floor.
"""
