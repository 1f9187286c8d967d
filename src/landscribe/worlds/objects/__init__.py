"""What stands on the ground of a synthetic world, each kind drawn by its own rules."""
