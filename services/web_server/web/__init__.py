"""What answers below `/login/`: browsers that sign in, and web tools that ask for credentials."""
