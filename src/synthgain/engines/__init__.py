"""Where a chain runs: this process (`local`)."""
