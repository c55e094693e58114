"""A second implementation of the decoder, in PyTorch, that Gaon is held to.

    python3 reference.py MODEL_FOLDER < request.json > answer.json

It reads config.json and model.safetensors with a parser of its own and shares
nothing with Gaon. The decoder is written as transformers' LlamaForCausalLM
computes it (modeling_llama.py: rotate_half, repeat_kv, RMSNorm, SwiGLU), in
float64; gradients come from PyTorch's automatic differentiation, updates from
torch.optim.AdamW and torch.nn.utils.clip_grad_norm_.
"""

import json
import struct
import sys

import torch


def read_safetensors(path):
    with open(path, "rb") as f:
        data = f.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, t in header.items():
        assert t["dtype"] == "F32", t
        begin, end = t["data_offsets"]
        part = bytearray(data[8 + length + begin : 8 + length + end])
        tensors[name] = torch.frombuffer(part, dtype=torch.float32).reshape(t["shape"]).double()
    return tensors


def norm(x, gain, epsilon):
    return gain * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon)


def rotate_half(x):
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


def logits_of(c, w, ids):
    batch, span = ids.shape
    heads, kv_heads, dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
    frequencies = 1.0 / c["rope_theta"] ** (torch.arange(0, dim, 2).double() / dim)
    angles = torch.outer(torch.arange(span).double(), frequencies)
    angles = torch.cat((angles, angles), dim=-1)
    cos, sin = angles.cos(), angles.sin()
    future = torch.full((span, span), float("-inf"), dtype=torch.float64).triu(1)
    x = w["model.embed_tokens.weight"][ids]
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        h = norm(x, w[p + "input_layernorm.weight"], c["rms_norm_eps"])
        q, k, v = (
            (h @ w[p + f"self_attn.{n}_proj.weight"].T).view(batch, span, count, dim).transpose(1, 2)
            for n, count in (("q", heads), ("k", kv_heads), ("v", kv_heads))
        )
        q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
        k, v = (t.repeat_interleave(heads // kv_heads, dim=1) for t in (k, v))
        scores = q @ k.transpose(2, 3) / dim**0.5 + future
        out = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, span, heads * dim)
        x = x + out @ w[p + "self_attn.o_proj.weight"].T
        h = norm(x, w[p + "post_attention_layernorm.weight"], c["rms_norm_eps"])
        gate, up = h @ w[p + "mlp.gate_proj.weight"].T, h @ w[p + "mlp.up_proj.weight"].T
        x = x + (torch.nn.functional.silu(gate) * up) @ w[p + "mlp.down_proj.weight"].T
    head = w["model.embed_tokens.weight"] if c["tie_word_embeddings"] else w["lm_head.weight"]
    return norm(x, w["model.norm.weight"], c["rms_norm_eps"]) @ head.T


def some(t, count):
    """count elements, evenly apart, of a tensor."""
    flat = t.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // count)].tolist()


def main():
    torch.set_num_threads(1)
    folder, request = sys.argv[1], json.load(sys.stdin)
    with open(folder + "/config.json") as f:
        c = json.load(f)
    w = read_safetensors(folder + "/model.safetensors")
    for t in w.values():
        t.requires_grad_(True)
    inputs, targets = torch.tensor(request["inputs"]), torch.tensor(request["targets"])
    groups = [
        {"params": [t for t in w.values() if t.dim() == 2], "weight_decay": request["weight_decay"]},
        {"params": [t for t in w.values() if t.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(request["beta1"], request["beta2"]), eps=request["epsilon"])
    answer = {"torch": torch.__version__.split("+")[0], "losses": [], "norms": []}
    for step, rate in enumerate(request["rates"]):
        optimizer.zero_grad()
        logits = logits_of(c, w, inputs)
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, c["vocab_size"]), targets.reshape(-1))
        loss.backward()
        if step == 0:
            answer["logits"] = logits.reshape(-1).tolist()
            answer["gradients"] = {name: some(t.grad, request["some"]) for name, t in w.items()}
        answer["losses"].append(loss.item())
        answer["norms"].append(torch.nn.utils.clip_grad_norm_(list(w.values()), request["clip_norm"]).item())
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        if step == 0:
            answer["once"] = {name: some(t, request["some"]) for name, t in w.items()}
    answer["weights"] = {name: some(t, request["some"]) for name, t in w.items()}
    json.dump(answer, sys.stdout)


main()
