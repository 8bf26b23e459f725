"""What bridge knows of frameworks and servers by name."""
