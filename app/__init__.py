"""The composition root: command line, wiring, jobs and processes; decides nothing of the domain."""
