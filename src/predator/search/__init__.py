"""The platform being improved: processor → index → retrieve → rerank → summarise, and serving."""
