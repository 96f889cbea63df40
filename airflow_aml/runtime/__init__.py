"""What runs around a step's script, in the step's own process."""
