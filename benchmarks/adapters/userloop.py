"""The plain training loop, written once for torch and for `fdl.stateful`."""


def userloop(torch, d, item, **settings):
    """A step of the MLP's loop; with `item`, the loss is looked at in each step."""
    layers = []
    for i, (w, b) in enumerate(d["params"]):
        layer = torch.nn.Linear(*w.shape)
        layer.weight.data, layer.bias.data = torch.tensor(w.T.copy()), torch.tensor(b)
        layers += [layer, torch.nn.ReLU()] if i < len(d["params"]) - 1 else [layer]
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=d["rate"], **settings)
    x, y = torch.tensor(d["x"]), torch.tensor(d["y"], dtype=torch.long)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if item:
            loss.item()
        return loss

    return step
