"""What another bundle would have made of the recorded decisions, counted: replay over the ledger, tallied by range."""
