import torch
from torch_common import main, use
from torchinfo import summary


@use("summaries of networks, with sizes and operations")
def summaries():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 10)
    )
    attention = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    found = summary(
        net, (2, 3, 8, 8), verbose=0, col_names=("input_size", "output_size", "num_params", "mult_adds", "trainable")
    )
    return str(found), found.total_params, found.total_mult_adds, str(summary(attention, (1, 4, 8), verbose=0, depth=2))


@use("an LSTM by its input")
def recurrent():
    return str(summary(torch.nn.LSTM(4, 8, 2), input_data=torch.zeros(5, 2, 4), verbose=0))


if __name__ == "__main__":
    main()
