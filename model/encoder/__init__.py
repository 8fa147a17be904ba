"""The image encoder: CLIP ViT-B/16's image tower, frozen, from a published file to a graph that runs here.

`weights` reads the published file, `graph` writes an ONNX graph, `quantisation` decides how it becomes int8, `store`
downloads, converts and caches. None of it needs torch. The encoder is not part of a release: a release names it by
hash, since it is far larger than a repository should carry and many releases share it.
"""
