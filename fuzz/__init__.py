"""Coverage-guided fuzzing of all that reads strangers' bytes: `scripts/fuzz`. The targets need no atheris."""
