"""A plan from the data: settings that follow by rules from labels, imagery, machine and minutes, with their reasons."""
