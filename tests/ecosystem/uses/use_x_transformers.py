import torch
from torch_common import data, fill, labels, main, steps, use
from x_transformers import (
    AutoregressiveWrapper,
    Decoder,
    Encoder,
    TransformerWrapper,
    ViTransformerWrapper,
    XTransformer,
)

TOKENS = labels(16, 47, (2, 8)) + 3


@use("a decoder with rotary positions, GLU and RMS norm: two steps, greedy generation")
def decoder():
    net = TransformerWrapper(
        num_tokens=50,
        max_seq_len=16,
        attn_layers=Decoder(
            dim=16, depth=2, heads=2, rotary_pos_emb=True, ff_glu=True, use_rmsnorm=True, attn_dim_head=8
        ),
    )
    wrapped = AutoregressiveWrapper(fill(net))
    return steps(net, lambda: wrapped(TOKENS)), wrapped.generate(TOKENS[:, :3], 4, temperature=0.0)


@use("an encoder with ALiBi, an encoder-decoder, a vision transformer: two steps each")
def others():
    encoder = fill(
        TransformerWrapper(
            num_tokens=50, max_seq_len=16, attn_layers=Encoder(dim=16, depth=1, heads=2, alibi_pos_bias=True)
        )
    )
    both = fill(
        XTransformer(
            dim=16,
            enc_num_tokens=50,
            enc_depth=1,
            enc_heads=2,
            enc_max_seq_len=16,
            dec_num_tokens=50,
            dec_depth=1,
            dec_heads=2,
            dec_max_seq_len=16,
        )
    )
    vision = fill(
        ViTransformerWrapper(image_size=16, patch_size=8, num_classes=3, attn_layers=Encoder(dim=16, depth=1, heads=2))
    )
    return (
        steps(encoder, lambda: encoder(TOKENS).square().mean()),
        steps(both, lambda: both(TOKENS, TOKENS)),
        steps(vision, lambda: torch.nn.functional.cross_entropy(vision(data(2, 3, 16, 16)), torch.tensor([0, 2]))),
    )


if __name__ == "__main__":
    main()
