"""What `tools/kill_matrix` is made of: an instance whose processes are killed, who takes part, what is checked."""
