import torch
from torch_common import data, fill, labels, main, steps, use
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv, global_mean_pool
from torch_geometric.transforms import AddSelfLoops, NormalizeFeatures
from torch_geometric.utils import degree, softmax, to_dense_adj, to_undirected

EDGES = to_undirected(torch.stack([torch.arange(9), torch.arange(9) * 5 % 10]))


class Net(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.one, self.two = layer(4, 8), layer(8, 3)

    def forward(self, x, edges):
        return self.two(self.one(x, edges).relu(), edges)


@use("GCN, GAT, GraphSAGE: two steps of a node classifier")
def nodes():
    found = []
    for layer in (GCNConv, lambda i, o: GATConv(i, o, heads=2, concat=False), SAGEConv):
        net = fill(Net(layer), 0.3)
        found.append(steps(net, lambda: torch.nn.functional.cross_entropy(net(data(10, 4), EDGES), labels(10, 3))))
    return found


@use("batches of graphs, GIN and pooling: two steps")
def graphs():
    rows = [
        Data(x=data(4 + i, 4, seed=i), edge_index=EDGES[:, EDGES.max(0).values < 4 + i], y=torch.tensor([i % 2]))
        for i in range(4)
    ]
    net = fill(torch.nn.ModuleList([GINConv(torch.nn.Linear(4, 8)), torch.nn.Linear(8, 2)]), 0.3)

    def loss():
        total = 0.0
        for batch in DataLoader(rows, batch_size=2):
            h = global_mean_pool(net[0](batch.x, batch.edge_index), batch.batch)
            total = total + torch.nn.functional.cross_entropy(net[1](h), batch.y)
        return total

    return steps(net, loss), Batch.from_data_list(rows).batch


@use("transforms and helpers")
def helpers():
    graph = NormalizeFeatures()(AddSelfLoops()(Data(x=data(10, 4).abs(), edge_index=EDGES)))
    return (
        graph.x.sum(1),
        graph.num_edges,
        degree(EDGES[0]),
        to_dense_adj(EDGES)[0].sum(1),
        softmax(data(EDGES.shape[1]), EDGES[1]),
        str(graph),
    )


if __name__ == "__main__":
    main()
