"""How much of a micro-batch's logits a policy of text holds at once. Nothing here loads torch: plans of memory read it too."""

CHUNK_TOKENS = 1024  # tokens whose logits exist together
KEEP_MIB = 512  # of logits kept for the backward pass of a micro-batch, which saves their second computation


def kept_bytes(tokens: int, token_bytes: float, keep_mib: int = KEEP_MIB, chunk_tokens: int = CHUNK_TOKENS) -> float:
    """Bytes of the logits that stay for the backward pass: those of the first chunks, as far as `keep_mib` reaches; a token has
    `token_bytes`."""
    kept = 0.0
    for start in range(0, tokens, chunk_tokens):
        chunk = min(chunk_tokens, tokens - start) * token_bytes
        if kept + chunk > keep_mib * 2**20:
            break
        kept += chunk
    return kept


__all__ = ["CHUNK_TOKENS", "KEEP_MIB", "kept_bytes"]
