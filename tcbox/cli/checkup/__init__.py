"""What `tcbox doctor` looks at: a module for each kind of thing, each with functions that give findings."""
