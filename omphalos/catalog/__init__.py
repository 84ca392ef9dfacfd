"""The analyst catalog: questions in plain SQL, each with its parameters, run read-only over the tables of a run."""
