"""What each command does: checked arguments in, exit codes out."""
