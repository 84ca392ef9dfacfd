"""The command line: one file for each verb, and the only place that reads argv, environment, cwd and the terminal."""
