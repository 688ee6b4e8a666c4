"""The composition root: settings -> sockets, contexts, a supervisor and its workers."""
