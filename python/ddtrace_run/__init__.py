"""The Python side of ddtrace-run. Importing it imports nothing else."""
