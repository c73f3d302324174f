"""The REST bridge: HTTP and JSON over the same contracts, by their google.api.http annotations."""
