import tempfile

import torch
import transformers
from torch_common import data, fill, labels, main, steps, use

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}
TOKENS = labels(16, 47, (2, 8)) + 3


def llama():
    config = transformers.LlamaConfig(**SIZES, num_key_value_heads=1, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    return fill(transformers.LlamaForCausalLM(config))


def gpt2():
    config = transformers.GPT2Config(
        vocab_size=50,
        n_positions=32,
        n_embd=16,
        n_layer=2,
        n_head=2,
        resid_pdrop=0,
        embd_pdrop=0,
        attn_pdrop=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return fill(transformers.GPT2LMHeadModel(config))


def bert():
    config = transformers.BertConfig(**SIZES, hidden_dropout_prob=0, attention_probs_dropout_prob=0, num_labels=3)
    return fill(transformers.BertForSequenceClassification(config))


@use("BERT: two steps of a classifier, with a mask of padding")
def bert_trains():
    model, mask = bert(), torch.ones(2, 8)
    mask[1, 5:] = 0
    run = lambda: model(input_ids=TOKENS, attention_mask=mask, labels=torch.tensor([0, 2]))
    return steps(model, lambda: run().loss), run().logits


@use("BERT: masked language model's hidden states and attentions")
def bert_hidden():
    config = transformers.BertConfig(**SIZES, attn_implementation="eager")
    model = fill(transformers.BertForMaskedLM(config)).eval()
    found = model(TOKENS, output_hidden_states=True, output_attentions=True)
    return found.logits[:, 0], found.hidden_states[1][:, 0], found.attentions[0][0, 0]


@use("GPT-2: two steps of a language model")
def gpt2_trains():
    model = gpt2()
    return steps(model, lambda: model(TOKENS, labels=TOKENS).loss)


@use("GPT-2: greedy and beam search")
def gpt2_generates():
    model = gpt2().eval()
    return (
        model.generate(TOKENS, max_new_tokens=5, do_sample=False, pad_token_id=0),
        model.generate(TOKENS, max_new_tokens=5, num_beams=3, do_sample=False, pad_token_id=0),
    )


@use("GPT-2: sampling with top-k, top-p and temperature")
def gpt2_samples():
    model = gpt2().eval()
    torch.manual_seed(0)
    found = model.generate(
        TOKENS, max_new_tokens=5, min_new_tokens=5, do_sample=True, top_k=10, top_p=0.9, temperature=0.7, pad_token_id=0
    )
    return list(found.shape)


@use("Llama: two steps, generation with a cache and with a repetition penalty")
def llama_generates():
    model = llama()
    losses = steps(model, lambda: model(TOKENS, labels=TOKENS).loss)
    model.eval()
    return (
        losses,
        model.generate(TOKENS, max_new_tokens=6, do_sample=False),
        model.generate(TOKENS, max_new_tokens=6, do_sample=False, repetition_penalty=1.5, no_repeat_ngram_size=2),
    )


@use("Llama: saved and loaded")
def llama_saved():
    with tempfile.TemporaryDirectory() as folder:
        model = llama().eval()
        model.save_pretrained(folder)
        again = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        return torch.equal(model(TOKENS).logits, again(TOKENS).logits), again(TOKENS).logits[0, 0]


@use("Llama: in bfloat16")
def llama_half():
    return llama().to(torch.bfloat16).eval()(TOKENS).logits.float().argmax(-1)


@use("T5: two steps and generation")
def t5():
    config = transformers.T5Config(
        vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, dropout_rate=0, decoder_start_token_id=0
    )
    model = fill(transformers.T5ForConditionalGeneration(config))
    losses = steps(model, lambda: model(input_ids=TOKENS, labels=TOKENS).loss)
    return losses, model.eval().generate(TOKENS, max_new_tokens=4, do_sample=False)


@use("ViT: a step of an image classifier")
def vit():
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
        hidden_dropout_prob=0,
        attention_probs_dropout_prob=0,
        num_labels=3,
    )
    model = fill(transformers.ViTForImageClassification(config))
    return steps(model, lambda: model(data(2, 3, 16, 16), labels=torch.tensor([0, 2])).loss)


@use("Trainer: three steps with a schedule, evaluation, a checkpoint")
def trainer():
    rows = [{"input_ids": TOKENS[i % 2], "labels": i % 3} for i in range(6)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            max_steps=3,
            per_device_train_batch_size=2,
            learning_rate=1e-2,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
            logging_steps=1,
            dataloader_pin_memory=False,
        )
        held = transformers.Trainer(bert(), arguments, train_dataset=list(rows), eval_dataset=list(rows))
        held._get_train_sampler = lambda *a: torch.utils.data.SequentialSampler(rows)
        found = held.train()
        held.save_model()
        return found.training_loss, held.evaluate()["eval_loss"], held.predict(list(rows)).predictions


@use("pipeline: text classification with a tokenizer of one's own")
def pipeline():
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "a": 2, "good": 3, "bad": 4, "day": 5}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    run = transformers.pipeline("text-classification", model=bert().eval(), tokenizer=tokenizer, device="cpu")
    return run(["a good day", "a bad"], batch_size=2)


if __name__ == "__main__":
    main()
