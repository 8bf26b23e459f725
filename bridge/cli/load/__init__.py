"""From what a user types to the app it means."""
