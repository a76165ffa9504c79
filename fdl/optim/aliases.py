"""Optimizers by their names: chains of transformations that end with a learning rate."""

from __future__ import annotations

from typing import Any

from fdl.optim.masking import masked
from fdl.optim.scaling import (
    add_decayed_weights,
    scale_by_adadelta,
    scale_by_adam,
    scale_by_adamax,
    scale_by_amsgrad,
    scale_by_belief,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_novograd,
    scale_by_radam,
    scale_by_rms,
    scale_by_rprop,
    scale_by_rss,
    scale_by_sign,
    scale_by_stddev,
    scale_by_trust_ratio,
    scale_by_yogi,
    trace,
)
from fdl.optim.transformation import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    ScalarOrSchedule,
    chain,
    identity,
    scale,
)


def _with_rate(learning_rate: ScalarOrSchedule, *parts: GradientTransformation) -> GradientTransformationExtraArgs:
    return chain(*parts, scale_by_learning_rate(learning_rate))


def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: float | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> GradientTransformationExtraArgs:
    """Stochastic gradient descent, with momentum (Sutskever et al., 2013).

    >>> opt = sgd(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0], 3)
    -0.2
    """
    moved = identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype)
    return _with_rate(learning_rate, moved)


def adam(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Adam (Kingma and Ba, 2015, algorithm 1).

    >>> opt = adam(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.1
    """
    return _with_rate(learning_rate, scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov))


def adamw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019, algorithm 2).

    >>> opt = adamw(0.1, weight_decay=0.1)
    >>> round(opt.update(2.0, opt.init(1.0), 1.0)[0].item(), 3)
    -0.11
    """
    return _with_rate(
        learning_rate,
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        add_decayed_weights(weight_decay, mask),
    )


def nadam(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """Adam with Nesterov's momentum (Dozat, 2016).

    >>> opt = nadam(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.147
    """
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = True,
) -> GradientTransformationExtraArgs:
    """`nadam` with decoupled weight decay.

    >>> opt = nadamw(0.1)
    >>> round(opt.update(2.0, opt.init(1.0), 1.0)[0].item(), 3)
    -0.147
    """
    return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=nesterov)


def amsgrad(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformationExtraArgs:
    """Adam with the largest mean square so far (Reddi et al., 2018).

    >>> opt = amsgrad(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.1
    """
    inner = scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu)
    return _with_rate(learning_rate, inner)


def adamax(
    learning_rate: ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> GradientTransformationExtraArgs:
    """Adam with the largest size in place of the mean square (Kingma and Ba, 2015, algorithm 2).

    >>> opt = adamax(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.1
    """
    return _with_rate(learning_rate, scale_by_adamax(b1, b2, eps))


def adamaxw(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: Any = None,
) -> GradientTransformationExtraArgs:
    """`adamax` with decoupled weight decay.

    >>> opt = adamaxw(0.1)
    >>> round(opt.update(2.0, opt.init(1.0), 1.0)[0].item(), 3)
    -0.1
    """
    return _with_rate(learning_rate, scale_by_adamax(b1, b2, eps), add_decayed_weights(weight_decay, mask))


def radam(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Adam whose first steps are held back (Liu et al., 2020).

    >>> opt = radam(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.2
    """
    return _with_rate(learning_rate, scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov))


def adabelief(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Adam with the mean square of what the mean did not foresee (Zhuang et al., 2020).

    >>> opt = adabelief(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.111
    """
    return _with_rate(learning_rate, scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov))


def yogi(
    learning_rate: ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-3
) -> GradientTransformationExtraArgs:
    """Adam whose mean square moves by bounded steps (Zaheer et al., 2018).

    >>> opt = yogi(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.1
    """
    return _with_rate(learning_rate, scale_by_yogi(b1, b2, eps))


def lion(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.99,
    mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-3,
    mask: Any = None,
) -> GradientTransformationExtraArgs:
    """Signs of a running mean, with decoupled weight decay (Chen et al., 2023).

    >>> opt = lion(0.1)
    >>> round(opt.update(2.0, opt.init(1.0), 1.0)[0].item(), 4)
    -0.1001
    """
    return _with_rate(learning_rate, scale_by_lion(b1, b2, mu_dtype), add_decayed_weights(weight_decay, mask))


def adagrad(
    learning_rate: ScalarOrSchedule, initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> GradientTransformationExtraArgs:
    """Steps over the root of the sum of all squares (Duchi, Hazan and Singer, 2011).

    >>> opt = adagrad(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.099
    """
    return _with_rate(learning_rate, scale_by_rss(initial_accumulator_value, eps))


def adadelta(
    learning_rate: ScalarOrSchedule | None = None,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: Any = None,
) -> GradientTransformationExtraArgs:
    """Steps in the units of the parameters (Zeiler, 2012). As in optax, without a learning rate the updates are not
    turned downhill: chain `scale(-1.0)` behind.

    >>> opt = adadelta(1.0)
    >>> round(opt.update(2.0, opt.init(1.0), 1.0)[0].item(), 5)
    -0.00316
    """
    parts = [add_decayed_weights(weight_decay, weight_decay_mask), scale_by_adadelta(rho, eps)]
    return chain(*parts) if learning_rate is None else _with_rate(learning_rate, *parts)


def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: float | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformationExtraArgs:
    """Steps over the root of a running mean square (Hinton, 2012), or over a standard deviation (Graves, 2013).

    >>> opt = rmsprop(0.1, decay=0.75)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.2
    """
    by = scale_by_stddev if centered else scale_by_rms
    moved = [] if momentum is None else [trace(momentum, nesterov)]
    scaled = by(decay, eps, initial_scale, eps_in_sqrt, bias_correction)
    return chain(scaled, scale_by_learning_rate(learning_rate), *(moved or [identity()]))


def rprop(
    learning_rate: float,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
) -> GradientTransformationExtraArgs:
    """Steps that depend on signs alone (Riedmiller and Braun, 1993). optax 0.2 gives each step one update late.

    >>> opt = rprop(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.1
    """
    return chain(scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size), scale(-1.0))


def lamb(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    eps_root: float = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Any = None,
) -> GradientTransformationExtraArgs:
    """Adam's steps of the size of each parameter (You et al., 2020).

    >>> opt = lamb(0.1)
    >>> round(opt.update(2.0, opt.init(3.0), 3.0)[0].item(), 3)
    -0.3
    """
    return _with_rate(
        learning_rate,
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
    )


def lars(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: Any = True,
    trust_coefficient: float = 0.001,
    eps: float = 0.0,
    trust_ratio_mask: Any = True,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> GradientTransformationExtraArgs:
    """Momentum of steps of the size of each parameter (You et al., 2017).

    >>> opt = lars(1.0, trust_coefficient=0.1)
    >>> round(opt.update(2.0, opt.init(3.0), 3.0)[0].item(), 3)
    -0.3
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        masked(scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps), trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),
    )


def novograd(
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.25,
    eps: float = 1e-6,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
) -> GradientTransformationExtraArgs:
    """Momentum of gradients over running norms (Ginsburg et al., 2019).

    >>> opt = novograd(0.1)
    >>> round(opt.update(2.0, opt.init(1.0), 1.0)[0].item(), 3)
    -0.1
    """
    return _with_rate(learning_rate, scale_by_novograd(b1, b2, eps, eps_root, weight_decay))


def sign_sgd(learning_rate: ScalarOrSchedule) -> GradientTransformationExtraArgs:
    """Steps of one length, by the sign of the gradient (Bernstein et al., 2018).

    >>> opt = sign_sgd(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.1
    """
    return _with_rate(learning_rate, scale_by_sign())


def signum(
    learning_rate: ScalarOrSchedule, beta: float = 0.9, accumulator_dtype: Any = None
) -> GradientTransformationExtraArgs:
    """Signs of a momentum (Bernstein et al., 2018).

    >>> opt = signum(0.1)
    >>> round(opt.update(2.0, opt.init(1.0))[0].item(), 3)
    -0.1
    """
    return _with_rate(learning_rate, trace(beta, accumulator_dtype=accumulator_dtype), scale_by_sign())
