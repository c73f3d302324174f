"""`tael`: starts, drives and shows the services; composes, decides nothing."""
