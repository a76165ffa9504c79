import tempfile

import peft
import torch
import transformers
from torch_common import fill, labels, main, steps, use

TOKENS = labels(16, 47, (2, 8)) + 3


def llama():
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return transformers.LlamaForCausalLM(config)


def trained(config):
    model = fill(peft.get_peft_model(llama(), config))
    trainable = [p for p in model.parameters() if p.requires_grad]
    losses = steps(model, lambda: model(input_ids=TOKENS, labels=TOKENS).loss, torch.optim.AdamW(trainable, lr=1e-2))
    return model, losses


@use("LoRA on a Llama: two steps, merged, saved and loaded")
def lora():
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model, losses = trained(config)
    count = model.get_nb_trainable_parameters()
    model.eval()
    logits = model(TOKENS).logits[0, 0]
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        again = peft.PeftModel.from_pretrained(fill(llama()), folder)
        state = peft.get_peft_model_state_dict(again)
    return losses, count, logits, model.merge_and_unload()(TOKENS).logits[0, 0], sorted(state)[:3]


@use("LoRA with DoRA and rank scaling")
def dora():
    return trained(
        peft.LoraConfig(r=4, use_dora=True, use_rslora=True, target_modules="all-linear", task_type="CAUSAL_LM")
    )[1]


@use("IA3")
def ia3():
    config = peft.IA3Config(
        target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM"
    )
    return trained(config)[1]


@use("prompt tuning")
def prompts():
    return trained(peft.PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"))[1]


if __name__ == "__main__":
    main()
