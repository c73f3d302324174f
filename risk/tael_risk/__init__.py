"""Risk: features, policies, decisions."""
