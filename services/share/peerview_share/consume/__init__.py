"""What share takes from the log: live figures, and the snapshots of release cuts."""
