"""Where scenes and labels come from: files by pattern, the DSTL layout, label pictures, submissions."""
