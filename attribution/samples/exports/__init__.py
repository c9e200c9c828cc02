"""One writer per real format; each takes pages (parts of a day) and writes what that system would have exported."""
