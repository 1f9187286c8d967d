"""A run carried elsewhere: one zip, and the proof that it gives what it promises."""
