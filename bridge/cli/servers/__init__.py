"""The servers that ``bridge run`` starts."""
