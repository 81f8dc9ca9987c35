"""What is done for libraries when a program has imported them, each in a module of its name."""
