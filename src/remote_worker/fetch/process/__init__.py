"""What runs in the process that dials: started by name, and imported by nothing else."""
