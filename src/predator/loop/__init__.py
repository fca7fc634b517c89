"""The ring: monitor → diagnose → augment → train → evaluate → experiment → promote → watch →
rollback, a file or a folder each, with ``contract`` as its data and ``cycle`` walking it.

Deciders here are pure: they do no I/O, read no clock and draw no random number.
"""
