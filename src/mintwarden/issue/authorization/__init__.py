"""The authorization endpoint's own rules: what may be asked, what would be granted, what is handed out and how."""
