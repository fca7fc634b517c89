"""The admin API: what people and machines may do with the loop, over HTTP."""
