"""What people would pick instead, measured in the same run, in a Python environment of its own.

`requirements.lock` pins every package by hash; nothing of it is installed beside the product.
"""
