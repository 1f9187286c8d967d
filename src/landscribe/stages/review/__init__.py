"""What people say of what was found: reviews out, reviews back into labels."""
