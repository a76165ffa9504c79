"""Scripts as users write them: recorded, line by line, and on torch where it is there, they print the same numbers."""

import warnings

import numpy as np
import pytest

import fdl.stateful
from fdl.transforms.lazy import set_eager

SCRIPTS = {}

SCRIPTS["custom_sgd"] = """
w=torch.tensor(W(4,3),requires_grad=True); b=torch.zeros(3,requires_grad=True)
x=torch.tensor(W(10,4)); y=torch.tensor(W(10,3))
for i in range(60):
    loss=((x@w+b-y)**2).mean()
    loss.backward()
    with torch.no_grad():
        for p in (w,b):
            p -= 0.1*p.grad
            p.grad.zero_()
    if i%20==0: out(loss.item())
out(w,b)
for i in range(40):
    loss=((x@w+b-y)**2).mean(); w.grad=None; b.grad=None
    loss.backward()
    w.data.add_(w.grad,alpha=-0.05); b.data=b.data-0.05*b.grad
out(w,b,loss)
"""
SCRIPTS["rnn"] = """
class RNN(nn.Module):
    def __init__(s,i,h):
        super().__init__(); s.ih=nn.Linear(i,h); s.hh=nn.Linear(h,h); s.out=nn.Linear(h,1)
    def forward(s,x,h):
        ys=[]
        for t in range(x.shape[1]):
            h=torch.tanh(s.ih(x[:,t])+s.hh(h)); ys.append(s.out(h))
        return torch.stack(ys,1),h
m=RNN(2,5); fill(m); opt=torch.optim.Adam(m.parameters(),lr=0.01)
X=torch.tensor(W(3,7,2)); Y=torch.tensor(W(3,7,1))
for i in range(40):
    L=4+i%3
    h=torch.zeros(3,5)
    y,h=m(X[:,:L],h)
    loss=F.mse_loss(y,Y[:,:L]); opt.zero_grad(); loss.backward(); nn.utils.clip_grad_norm_(m.parameters(),0.5); opt.step()
    if i%9==0: out(loss.item(),h.detach().sum().item())
"""
SCRIPTS["maml"] = """
m=nn.Linear(2,1); fill(m); meta=torch.optim.SGD(m.parameters(),lr=0.05)
x=torch.tensor(W(6,2)); y=torch.tensor(W(6,1))
for it in range(30):
    meta.zero_grad(); tot=0
    for k in range(2):
        w,b=m.weight,m.bias
        for j in range(2):
            l=((F.linear(x*(k+1),w,b)-y)**2).mean()
            gw,gb=torch.autograd.grad(l,(w,b),create_graph=True)
            w=w-0.1*gw; b=b-0.1*gb
        tot=tot+((F.linear(x,w,b)-y)**2).mean()
    tot.backward(); meta.step()
    if it%10==0: out(tot.item())
out(m.weight)
"""
SCRIPTS["ema_buffers"] = """
class BN(nn.Module):
    def __init__(s,n):
        super().__init__(); s.w=nn.Parameter(torch.ones(n)); s.b=nn.Parameter(torch.zeros(n)); s.register_buffer('mean',torch.zeros(n)); s.register_buffer('count',torch.tensor(0))
    def forward(s,x):
        if s.training:
            mu=x.mean(0); va=x.var(0,unbiased=False)
            with torch.no_grad():
                s.mean.mul_(0.9).add_(0.1*mu.detach()); s.count+=1
        else: mu=s.mean; va=torch.ones_like(mu)
        return (x-mu)/torch.sqrt(va+1e-5)*s.w+s.b
m=nn.Sequential(nn.Linear(3,4),BN(4),nn.ReLU(),nn.Linear(4,2)); fill(m)
ema=[p.detach().clone() for p in m.parameters()]
opt=torch.optim.SGD(m.parameters(),lr=0.1,momentum=0.9)
for i in range(50):
    x=torch.tensor(W(8,3)); y=torch.tensor(W(8,2))
    m.train(); opt.zero_grad(); l=F.l1_loss(m(x),y); l.backward(); opt.step()
    for e,p in zip(ema,m.parameters()): e.mul_(0.95).add_(p.detach(),alpha=0.05)
    if i%10==0:
        m.eval(); out(l.item(), m(x).sum().item(), m[1].count.item(), m[1].mean)
out(*ema)
"""
SCRIPTS["policy"] = """
m=nn.Sequential(nn.Linear(3,8),nn.Tanh(),nn.Linear(8,2)); fill(m); opt=torch.optim.Adam(m.parameters(),lr=0.02)
for ep in range(25):
    logp=[];rew=[]
    s=torch.tensor(W(3))
    for t in range(3+ep%4):
        p=F.softmax(m(s),dim=-1)
        a=int(p.argmax()) if t%2 else 1
        logp.append(torch.log(p[a])); r=float(s.sum())*(1 if a else -1); rew.append(r)
        s=s*0.9+0.1*(a-0.5)
    R=torch.tensor(rew); G=torch.flip(torch.cumsum(torch.flip(R,[0]),0),[0]); G=(G-G.mean())/(G.std()+1e-6)
    loss=-(torch.stack(logp)*G).sum(); opt.zero_grad(); loss.backward(); opt.step()
    if ep%6==0: out(loss.item())
"""
SCRIPTS["vae_like"] = """
enc=nn.Linear(6,4); dec=nn.Linear(2,6); fill(enc); fill(dec)
opt=torch.optim.AdamW([*enc.parameters(),*dec.parameters()],lr=0.01)
for i in range(45):
    x=torch.sigmoid(torch.tensor(W(5,6))); eps=torch.tensor(W(5,2))
    h=enc(x); mu,lv=h.chunk(2,dim=1); z=mu+torch.exp(0.5*lv)*eps
    xr=torch.sigmoid(dec(z))
    bce=F.binary_cross_entropy(xr,x,reduction='sum'); kl=-0.5*torch.sum(1+lv-mu.pow(2)-lv.exp())
    loss=(bce+kl)/len(x); opt.zero_grad(); loss.backward(); opt.step()
    if i%11==0: out(loss.item(),kl.item())
"""
SCRIPTS["inplace_mix"] = """
w=torch.tensor(W(3,4),requires_grad=True)
for i in range(12):
    x=torch.zeros(3,4); x[i%3]=w[i%3]*2; x[:,1]+=w[:,i%4]; y=x.clone(); y[y<0]*=0.1; y.t()[2].add_(1); z=y.view(-1)[::2]; z2=z*z
    l=z2.sum()+(x**2).mean(); l.backward()
    out(l.item(), w.grad.sum().item())
out(w.grad)
"""
SCRIPTS["noise_schedule"] = """
m=nn.Sequential(nn.Linear(2,4),nn.GELU(),nn.LayerNorm(4),nn.Linear(4,1)); fill(m)
opt=torch.optim.Adam(m.parameters(),lr=1e-2)
best=1e9; state=None
for e in range(35):
    for g in opt.param_groups: g['lr']=1e-2*(0.9**e)
    x=torch.tensor(W(6,2)); y=(x[:,:1]*x[:,1:])
    loss=F.smooth_l1_loss(m(x),y); opt.zero_grad(); loss.backward(); opt.step()
    if loss<best: best=loss.item(); state={k:v.clone() for k,v in m.state_dict().items()}
    if e%8==0: out(loss.item(),best)
m.load_state_dict(state); out(m(torch.ones(1,2)).item())
"""
SCRIPTS["frozen_two_opts"] = """
a=nn.Linear(3,3); b=nn.Linear(3,2); fill(a); fill(b)
o1=torch.optim.SGD(a.parameters(),lr=0.1); o2=torch.optim.Adam(b.parameters(),lr=0.05)
for i in range(40):
    x=torch.tensor(W(4,3));
    for p in a.parameters(): p.requires_grad=(i//10)%2==0
    l=b(torch.relu(a(x))).pow(2).sum(); o1.zero_grad(); o2.zero_grad(); l.backward()
    if i%2: o1.step()
    o2.step()
    if i%7==0: out(l.item(), [p.grad is None for p in a.parameters()])
out(a.weight,b.weight)
"""
SCRIPTS["grad_accum_scaler"] = """
m=nn.Linear(4,2); fill(m); opt=torch.optim.SGD(m.parameters(),lr=0.1,momentum=0.9,weight_decay=1e-3)
opt.zero_grad()
for i in range(48):
    x=torch.tensor(W(3,4)); l=F.cross_entropy(m(x),torch.tensor([i%2,1,0]),label_smoothing=0.1)/4
    (l*8.0).backward()
    if (i+1)%4==0:
        for p in m.parameters(): p.grad.div_(8.0)
        n=torch.sqrt(sum((p.grad**2).sum() for p in m.parameters()))
        opt.step(); opt.zero_grad(); out(n.item())
"""
SCRIPTS["tensor_logic"] = """
x=torch.tensor([3,1,2]); seen=[]
total=torch.tensor(0.0)
for v in x:
    if v>1: total+=v.float()
    seen.append(int(v))
out(total.item(),seen)
c=torch.zeros(2,dtype=torch.int64)
for i in range(5): c[i%2]+=i
out(c)
m=torch.tensor(W(4,4)); m=(m+m.t())/2; v=torch.ones(4)
for i in range(60):
    v=m@v; v=v/v.norm()
out((v@m@v).item())
a=torch.arange(10); out(a[a%2==0].sum().item(), (a>5).any().item(), a.float().std().item(), torch.where(a>3,a,-a), a.max().item())
"""
SCRIPTS["weight_norm_manual"] = """
g=nn.Parameter(torch.tensor(W(3,1))); v=nn.Parameter(torch.tensor(W(3,4)))
opt=torch.optim.Adam([g,v],lr=0.05)
for i in range(30):
    w=g*v/v.norm(dim=1,keepdim=True); l=(F.linear(torch.tensor(W(5,4)),w)-1).abs().mean()
    opt.zero_grad(); l.backward(); opt.step()
    if i%10==0: out(l.item())
out(g,v)
"""


def run(library, script):
    """All numbers that a script gives to `out`; `W` draws weights and `fill` puts them into a module."""
    rng, seen = np.random.default_rng(0), []

    def draw(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def fill(module):
        with library.no_grad():
            for p in module.parameters():
                p.copy_(library.tensor(draw(*p.shape) * 0.5))

    def out(*values):
        seen.extend(np.array(v.detach().numpy()) if hasattr(v, "detach") else np.asarray(v) for v in values)

    exec(script, {"torch": library, "nn": library.nn, "F": library.nn.functional, "W": draw, "fill": fill, "out": out})
    return seen


def assert_same(got, want, tolerance):
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_agree_with_eager_execution(name):
    got = run(fdl.stateful, SCRIPTS[name])
    set_eager(True)
    assert_same(got, run(fdl.stateful, SCRIPTS[name]), 2e-3)


@pytest.mark.peers
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_agree_with_torch(name):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = run(torch, SCRIPTS[name])
    assert_same(run(fdl.stateful, SCRIPTS[name]), want, 5e-3)


def test_files_that_are_spread_elsewhere():
    """Paths of PyTorch's files, under fdl's name as under PyTorch's."""
    torch = fdl.stateful
    from fdl.stateful.autograd.function import Function
    from fdl.stateful.distributions.categorical import Categorical
    from fdl.stateful.nn.modules.batchnorm import _BatchNorm
    from fdl.stateful.nn.modules.utils import _pair
    from fdl.stateful.utils.data.dataset import Dataset

    assert _pair(3) == (3, 3) and _pair([1, 2]) == (1, 2)
    assert torch.nn.modules.conv.Conv2d is torch.nn.Conv2d and isinstance(torch.nn.BatchNorm2d(1), _BatchNorm)
    assert torch.distributions.categorical.Categorical is Categorical is torch.distributions.Categorical
    assert Dataset is torch.utils.data.Dataset and Function is torch.autograd.Function
    assert not hasattr(torch.nn, "conv")
