"""What lies in a folder: which files are imagery, which are labels, and what belongs to which."""
