"""The whole database in an operator's hands: check it, back it up, restore it, move it.

Lives here: what reads or fills a database as a whole, over `storage.copies`. All of it streams: nothing
holds more than a page of rows.

May enter: `core`, `storage.api`, `storage.copies`, the rest of `engine`.
"""
