"""What hands units of work to workers, at least once each: a file on this machine, or NATS JetStream."""
