"""A tiny file in the format that `models.e5` reads, and the weights that it says."""

import struct

import numpy as np

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁dom", "▁domu", "u", "m", "o", "d", "▁nad", "▁rzeką"]
WIDTH, LAYERS, HEADS, FEED_FORWARD, POSITIONS, TYPES = 64, 2, 4, 96, 12, 1
ROWS = len(PIECES) + 3  # the embedding is padded


def quantised(rng, *shape):
    """Random 4-bit weights: what the file holds, and what it means, computed one weight at a time."""
    bits = rng.integers(0, 16, shape)
    scales = rng.uniform(0.01, 0.1, int(np.prod(shape)) // 32).astype("<f2")
    blocks, packed = bits.reshape(-1, 32), b""
    for block, scale in zip(blocks, scales, strict=True):
        packed += scale.tobytes() + bytes(int(block[j]) | int(block[j + 16]) << 4 for j in range(16))
    means = (blocks - 8) * scales.astype(float)[:, None]
    return packed, means.reshape(shape)


def write(path, seed=0):
    """Write the file; returns the weights by the file's names."""
    rng, tensors, means = np.random.default_rng(seed), {}, {}
    matrices = {"q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "ao": (WIDTH, WIDTH)}
    matrices |= {"fi": (FEED_FORWARD, WIDTH), "fo": (WIDTH, FEED_FORWARD)}
    shapes = {"emb.word": (ROWS, WIDTH)} | {f"l{i}.{k}.w": s for i in range(LAYERS) for k, s in matrices.items()}
    for name, shape in shapes.items():
        tensors[name], means[name] = quantised(rng, *shape)
    vectors = {"emb.pos": (POSITIONS, WIDTH), "emb.type": (TYPES, WIDTH), "emb.ln.w": (WIDTH,), "emb.ln.b": (WIDTH,)}
    for i in range(LAYERS):
        vectors |= {f"l{i}.{k}.b": s[:1] for k, s in matrices.items()}
        vectors |= {f"l{i}.{k}.{kind}": (WIDTH,) for k in ("aln", "oln") for kind in "wb"}
    for name, shape in vectors.items():
        means[name] = rng.standard_normal(shape).astype("<f4")
        tensors[name] = means[name].tobytes()

    texts = [piece.encode() for piece in PIECES]
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in texts])]).astype("<u4")
    scores = -np.arange(len(PIECES), dtype="<f4")
    data = b"E5S1" + struct.pack("<I7ifi", 1, WIDTH, LAYERS, HEADS, FEED_FORWARD, ROWS, POSITIONS, TYPES, 1e-12, 32)
    data += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(offsets[-1])) + offsets.tobytes() + scores.tobytes() + b"".join(texts)
    data += struct.pack("<iI", 1, 5) + b"\0\1\2\3\4"  # a normalisation map
    size = len(data) + 4 + sum(2 + len(name) + 1 + 4 + 16 for name in tensors)
    directory = struct.pack("<i", len(tensors))
    for name, content in tensors.items():
        directory += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 2, means[name].size, size, len(content))
        size += len(content)
    path.write_bytes(data + directory + b"".join(tensors.values()))
    return means
