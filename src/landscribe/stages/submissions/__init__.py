"""Work on finished DSTL submissions."""
