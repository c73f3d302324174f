"""The outside world as real gRPC servers: identity, bureau, other data, payments, messages."""
