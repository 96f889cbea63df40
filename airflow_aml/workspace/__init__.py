"""Everything that is kept: a folder that people can read, and the documents in it."""
