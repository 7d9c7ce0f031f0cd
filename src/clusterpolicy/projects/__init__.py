"""The projects: what is recorded of each, its cells, and what its page says and shows."""
