"""VidLA's layer with masks over all pairs of tokens, as in the paper: the slow reference for our layer.

Tokens in order: [CLS], the [MST] of level 0, 1, ..., then the patches, frame 0 first. A mask is True where the token of
a row may attend to that of a column.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.video_tower import VideoLayer, VideoTower


def local_mask(frames: int, patches: int) -> torch.Tensor:
    """Return the mask of spatially local temporal attention: patch i sees j iff |j - i| mod N = 0; [T·N, T·N]."""
    i = torch.arange(frames * patches)
    return (i[:, None] - i[None]).abs() % patches == 0


def global_mask(settings: TemporalSettings, frames: int, patches: int) -> torch.Tensor:
    """Return the paper's masks M[CLS], M[MST], M[PATCH], stacked; [1+UV+TN, 1+UV+TN]."""
    v, mst = settings.tokens_per_level, settings.levels * settings.tokens_per_level
    total = 1 + mst + frames * patches
    mask = torch.zeros(total, total, dtype=torch.bool)
    for row in range(total):
        for column in range(total):
            mask[row, column] = _sees(settings, row, column, v, mst, patches, frames)
    return mask


def _sees(settings: TemporalSettings, row: int, column: int, v: int, mst: int, n: int, t: int) -> bool:
    if row == 0:
        return True
    if row <= mst:
        level = (row - 1) // v
        if column == 0:
            return False
        if column <= mst:
            other = (column - 1) // v
            return level >= other if settings.mst_sees == "lower" else level <= other
        strides = [settings.scale**power for power in range(level + 1)]
        stride = max([stride for stride in strides if stride < t], default=1)
        return ((column - 1 - mst) // n) % stride == 0
    if column == 0:
        return settings.patch_sees_cls
    return column <= mst or (row - 1 - mst) // n == (column - 1 - mst) // n


def global_bias(settings: TemporalSettings, frames: int, patches: int) -> torch.Tensor:
    """Return the mask as a term for the logits, with the bias of [CLS] on itself."""
    mask = global_mask(settings, frames, patches)
    bias = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -math.inf)
    bias[0, 0] = math.log(frames) if settings.cls_self_bias == "log_frames" else settings.cls_self_bias
    return bias


def dense_attention(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, heads: int, mask_bias: torch.Tensor
) -> torch.Tensor:
    """Compute softmax attention of all tokens [B, tokens, D] with `mask_bias` added to the logits; no projection."""
    b, tokens, d = x.shape
    q, k, v = F.linear(x, weight, bias).view(b, tokens, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    logits = q @ k.transpose(-1, -2) / math.sqrt(d // heads) + mask_bias.to(x.dtype)
    return (logits.softmax(-1) @ v).transpose(1, 2).reshape(b, tokens, d)


def in_order(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder rows from head by head to CLIP's order: all queries, all keys, all values."""
    per_head = rows.view(heads, 3, -1, *rows.shape[1:])
    return torch.cat([per_head[:, part].flatten(0, 1) for part in range(3)])


def dense_layer(layer: VideoLayer, tokens: torch.Tensor, frames: int, settings: TemporalSettings) -> torch.Tensor:
    """Compute one layer on the sequence of all tokens [B, 1+UV+TN, D]: Z^SlT, Z^GST, MLP."""
    s = settings.summary_tokens
    patches = (tokens.shape[1] - s) // frames
    if layer.temporal is not None:
        slt, z = layer.temporal, tokens[:, s:]
        local = torch.zeros(frames * patches, frames * patches).masked_fill(~local_mask(frames, patches), -math.inf)
        weight, bias = (in_order(rows, slt.heads) for rows in (slt.qkv.weight, slt.qkv.bias))
        found = dense_attention(slt.ln(z), weight, bias, slt.heads, local)
        tokens = torch.cat((tokens[:, :s], slt.out_proj(found) + z), dim=1)
    everything = global_bias(settings, frames, patches)
    attn = layer.attn
    found = dense_attention(layer.ln_1(tokens), attn.in_proj_weight, attn.in_proj_bias, attn.num_heads, everything)
    tokens = tokens + layer.ls_1(attn.out_proj(found))
    return tokens + layer.ls_2(layer.mlp(layer.ln_2(tokens)))


def dense_tower(tower: VideoTower, video: torch.Tensor) -> torch.Tensor:
    """Compute the whole tower on [B, T, 3, H, W] with the tower's own T."""
    b, t = video.shape[:2]
    d = tower.class_embedding.shape[0]
    patches = torch.stack([tower.conv1(video[:, i]).flatten(2).transpose(1, 2) for i in range(t)], dim=1)
    patches = patches + tower.positional_embedding[1:][None, None] + tower.temporal_embedding[None, :, None]
    cls = (tower.class_embedding + tower.positional_embedding[0]).expand(b, 1, d)
    tokens = torch.cat((cls, tower.mst_embedding.expand(b, -1, d), patches.flatten(1, 2)), dim=1)
    tokens = tower.ln_pre(tokens)
    for layer in tower.layers:
        tokens = dense_layer(layer, tokens, t, tower.settings)
    return tower.ln_post(tokens)[:, 0] @ tower.proj
