"""The run folder: what each stage wrote, from what, and how to read it again."""
