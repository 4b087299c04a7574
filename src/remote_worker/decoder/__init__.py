"""Lives in the jail: a template that warms, seals itself and forks, and the child that does one job."""
