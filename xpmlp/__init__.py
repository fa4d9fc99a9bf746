"""xpmlp."""
