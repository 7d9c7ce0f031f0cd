"""Evaluate Japan's Industrial Cluster Policy, one policy term at a time, from public figures."""

__version__ = "0.1.0"
