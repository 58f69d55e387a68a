"""Changes to what governs: bundle versions and their approvals, exceptions, modes. Each is recorded."""
