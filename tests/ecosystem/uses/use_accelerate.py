import tempfile

import accelerate
import torch
from torch_common import data, fill, labels, main, use


def parts():
    model = fill(torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data(8, 4), labels(8, 3)), batch_size=2)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    return model, optimizer, loader, schedule


@use("the loop: prepare, accumulation, clipping, gathering")
def loop():
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model, optimizer, loader, schedule = accelerator.prepare(*parts())
    losses, norms, rates = [], [], []
    for x, y in loader:
        with accelerator.accumulate(model):
            loss = torch.nn.functional.cross_entropy(model(x), y)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                norms.append(accelerator.clip_grad_norm_(model.parameters(), 1.0))
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        losses.append(accelerator.gather_for_metrics(loss.detach()))
        rates.append(schedule.get_last_lr())
    return losses, norms, rates, accelerator.unwrap_model(model)[0].weight


@use("a state saved and loaded")
def state():
    accelerator = accelerate.Accelerator(cpu=True)
    model, optimizer, loader, schedule = accelerator.prepare(*parts())
    (x, y), *_ = loader
    step = lambda: accelerator.backward(torch.nn.functional.cross_entropy(model(x), y)) or optimizer.step()
    step()
    with tempfile.TemporaryDirectory() as folder:
        accelerator.save_state(folder)
        kept = model[0].weight.clone()
        step()
        accelerator.load_state(folder)
        same = torch.equal(kept, model[0].weight)
        step()
        accelerator.save_model(model, folder)
    return same, model[0].weight


@use("bfloat16 by autocast")
def mixed():
    accelerate.state.AcceleratorState._reset_state()
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision="bf16")
    model, optimizer, loader, _ = accelerator.prepare(*parts())
    (x, y), *_ = loader
    with accelerator.autocast():
        loss = torch.nn.functional.cross_entropy(model(x), y)
    accelerator.backward(loss)
    optimizer.step()
    return round(float(loss), 2), str(model(x).dtype)


@use("weights made on no device, then loaded")
def empty():
    with accelerate.init_empty_weights():
        model = torch.nn.Linear(3, 2)
    device = str(model.weight.device)
    full = fill(torch.nn.Linear(3, 2))
    with tempfile.TemporaryDirectory() as folder:
        torch.save(full.state_dict(), folder + "/weights.bin")
        model = accelerate.load_checkpoint_and_dispatch(model, folder + "/weights.bin", device_map={"": "cpu"})
    return device, model(data(2, 3))


if __name__ == "__main__":
    main()
