"""The sentence encoder: a BERT graph without torch, int8 on the processor, vectors kept by hash.

``source`` reads a model folder → ``graph`` builds it → ``export`` quantises and keeps it →
``onnx_encoder`` runs it → ``worker`` runs many texts beside the main process, ``vector_cache``
remembers the results.
"""
