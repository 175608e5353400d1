"""A study: the file, the stages in order, the result folder."""
