"""Routers on real servers: every framework in one Router, and its lifespan."""
