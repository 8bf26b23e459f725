"""Adapters to particular servers and frameworks. Importing this package imports none of them."""
