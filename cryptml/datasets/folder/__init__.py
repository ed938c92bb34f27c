"""A folder of one's own pictures as a data set."""
