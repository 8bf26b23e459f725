"""Mixed deployments on real servers: every framework in one Router, and its life there."""
