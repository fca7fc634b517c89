"""One router a noun; a handler is named in ``guard.OPERATIONS``."""
