"""Formulas of the papers in NumPy, example by example, to compare objectives with."""

import itertools
import math

import numpy as np
from scipy.special import log_softmax, softmax


def finite_difference(formula, point, step=1e-5):
    """Gradient of a formula's sum at a point, by central differences in float64."""
    point = point.astype(float)
    found = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        up, down = point.copy(), point.copy()
        up[index] += step
        down[index] -= step
        found[index] = (np.sum(formula(up)) - np.sum(formula(down))) / (2 * step)
    return found


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def huber(d):
    return np.where(np.abs(d) < 1, 0.5 * d**2, np.abs(d) - 0.5)


def decoupled(t, s, y, alpha, beta, temperature):
    total = []
    for t_row, s_row, label in zip(t.astype(float), s.astype(float), y):
        p, q = softmax(t_row / temperature), softmax(s_row / temperature)
        b_t, b_s = np.array([p[label], 1 - p[label]]), np.array([q[label], 1 - q[label]])
        tckd = np.sum(b_t * np.log(b_t / b_s))
        p_hat, q_hat = np.delete(p, label) / (1 - p[label]), np.delete(q, label) / (1 - q[label])
        nckd = np.sum(p_hat * np.log(p_hat / q_hat))
        total.append(temperature**2 * (alpha * tckd + beta * nckd))
    return np.array(total)


def dist(t, s, beta, gamma, temperature):
    p, q = softmax(t.astype(float) / temperature, -1), softmax(s.astype(float) / temperature, -1)
    inter = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q)])
    intra = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T)])
    return temperature**2 * (beta * inter + gamma * intra)


def standardized(t, s, temperature):
    z = [
        (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True, ddof=1) / temperature
        for x in (t.astype(float), s.astype(float))
    ]
    p = softmax(z[0], -1)
    return temperature**2 * np.sum(p * (log_softmax(z[0], -1) - log_softmax(z[1], -1)), -1)


def attention(t, s):
    maps = [unit(np.mean(x.astype(float) ** 2, -1).reshape(len(x), -1)) for x in (t, s)]
    return np.sum((maps[0] - maps[1]) ** 2, -1)


def channel_wise(t, s, temperature):
    total = []
    for one, other in zip(t.astype(float), s.astype(float)):
        divergences = []
        for c in range(t.shape[-1]):
            log_p, log_q = (log_softmax(x[..., c].reshape(-1) / temperature) for x in (one, other))
            divergences.append(np.sum(np.exp(log_p) * (log_p - log_q)))
        total.append(temperature**2 * np.mean(divergences))
    return np.array(total)


def inter_channel(t, s):
    def gram(x):
        rows = x.reshape(-1, x.shape[-1]).T
        return unit(np.array([[a @ b for b in rows] for a in rows]))

    return np.array([np.sum((gram(a) - gram(b)) ** 2) / t.shape[-1] for a, b in zip(t.astype(float), s.astype(float))])


def neuron_selectivity(t, s):
    def kernel(a, b):
        return np.mean([[(x @ y) ** 2 for y in b] for x in a])

    values = []
    for one, other in zip(t.astype(float), s.astype(float)):
        a, b = (unit(x.reshape(-1, x.shape[-1]).T) for x in (one, other))
        values.append(kernel(a, a) + kernel(b, b) - 2 * kernel(a, b))
    return np.array(values)


def simple_recipe(t, s, power=4.0):
    def normalized(x):
        rows = x.reshape(-1, x.shape[-1]).astype(float)
        return (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-4)

    return np.log(np.mean(np.abs(normalized(t) - normalized(s)) ** power) + 1e-5)


def margin_relu(t, s, margins):
    values = np.zeros(t.shape)
    for index in np.ndindex(t.shape):
        theirs, mine, margin = float(t[index]), float(s[index]), margins[index[-1]]
        # The three cases of the authors' code.
        if theirs > 0 or (margin < theirs and mine > theirs):
            values[index] = (mine - theirs) ** 2
        elif theirs <= margin < mine:
            values[index] = (mine - margin) ** 2
    return values.reshape(len(t), -1).mean(-1)


def gaussian(mean_t, log_t, mean_s, log_s):
    """KL of two normal distributions, by numerical integration."""
    x = np.linspace(-40, 40, 400_001)
    sides = ((mean_t, log_t), (mean_s, log_s))
    log_p, log_q = (-((x - m) ** 2) / (2 * np.exp(v)) - 0.5 * (np.log(2 * np.pi) + v) for m, v in sides)
    return np.sum(np.exp(log_p) * (log_p - log_q)) * (x[1] - x[0])


def flow(t, s):
    def gram(first, second):
        b, c1, c2 = len(first), first.shape[-1], second.shape[-1]
        first, second = first.reshape(b, -1, c1).astype(float), second.reshape(b, -1, c2).astype(float)
        return np.stack([f.T @ g / len(f) for f, g in zip(first, second)])

    return np.mean((gram(*t) - gram(*s)) ** 2, axis=(1, 2))


def rkd_distance(t, s):
    def normed(x):
        x = x.reshape(len(x), -1).astype(float)
        d = np.array([[np.linalg.norm(a - b) for b in x] for a in x])
        return d / d[d > 0].mean()

    return huber(normed(t) - normed(s)).mean()


def rkd_angle(t, s):
    def cosines(x):
        x = x.reshape(len(x), -1).astype(float)
        n = len(x)
        out = np.zeros((n, n, n))
        for j, i, k in itertools.product(range(n), repeat=3):
            if i != j and k != j:
                out[j, i, k] = unit(x[i] - x[j]) @ unit(x[k] - x[j])
        return out

    return huber(cosines(t) - cosines(s)).mean()


def similarity(t, s):
    def gram(x):
        x = x.reshape(len(x), -1).astype(float)
        return unit(x @ x.T)

    return np.sum((gram(t) - gram(s)) ** 2) / len(t)


def congruence(t, s, gamma=0.4, order=2):
    def kernel(x):
        x = unit(x.reshape(len(x), -1).astype(float))
        return sum(
            math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) * (x @ x.T) ** p for p in range(order + 1)
        )

    return np.sum((kernel(t) - kernel(s)) ** 2) / len(t) ** 2


def probabilistic(t, s):
    def conditional(x):
        x = unit(x.reshape(len(x), -1).astype(float))
        k = (x @ x.T + 1) / 2
        np.fill_diagonal(k, 0)
        return k / k.sum(1, keepdims=True)

    p, q = conditional(t), conditional(s)
    off = ~np.eye(len(p), dtype=bool)
    return np.sum(p[off] * np.log(p[off] / q[off])) / len(p)


def cosine(t, s):
    t, s = t.astype(float), s.astype(float)
    cos = np.sum(t * s, -1) / np.linalg.norm(t, axis=-1) / np.linalg.norm(s, axis=-1)
    return (1 - cos).reshape(len(t), -1).mean(-1)
