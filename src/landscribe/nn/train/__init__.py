"""Training: chips, losses, schedules and the loop."""
