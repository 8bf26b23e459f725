"""What is known of frameworks and servers by name."""
