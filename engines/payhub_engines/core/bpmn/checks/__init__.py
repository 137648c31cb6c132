"""What must hold before a process is deployed, so that no instance gets stuck in a faulty model."""
