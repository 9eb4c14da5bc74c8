"""What is learned from logs before any agent acts: the world model and the tables derived from it."""
