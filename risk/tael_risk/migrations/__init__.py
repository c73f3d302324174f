"""Risk's revisions; the runtime runs them at start."""
