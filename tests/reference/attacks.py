"""Slow oracles of the attacks, each written from the source that its docstring names."""

import math

import torch

# ---- losses, one query at a time, in plain Python


def sign(v):
    """HAG Eq. 1: 1 if v > 0, else -1."""
    return 1 if v > 0 else -1


def hag_loss(logits, clean_logits, alpha, threshold):
    """HAG Eq. 6, mask of Eq. 7, F of Eq. 10 for the clean query too.

    Deliberate: with an empty mask Eq. 6 is 0 / 0; the loss is 0.
    """
    adversarial = [math.tanh(alpha * v) for v in logits]
    clean = [math.tanh(alpha * v) for v in clean_logits]
    kept = [i for i in range(len(logits)) if abs(adversarial[i] - sign(clean[i])) < 1 + threshold]
    if not kept:
        return 0.0
    inner = sum(clean[i] * adversarial[i] for i in kept)
    return (inner / len(kept) + 1) ** 2


def hag_code_loss(logits, clean_logits, alpha, threshold, beta):
    """`adversarial_loss` and `mask_code` of main.py (yangerkun's repository of HAG).

    Both codes are masked first; the inner product is divided by the sum of the mask; beta weighs
    the squared mean over all K bits of the MASKED code. The clean code is tanh(H), at alpha 1.
    Their mask is (sign(1 + t - |F' - sign(F)|) + 1) / 2 with sign(0) = 0; ours has no halves.
    Deliberate: 0 once every bit differs, where their loop breaks (every tenth iteration).
    """
    if all(sign(a) != sign(b) for a, b in zip(logits, clean_logits, strict=True)):
        return 0.0
    adversarial = [math.tanh(alpha * v) for v in logits]
    clean = [math.tanh(v) for v in clean_logits]
    mask = [
        1.0 if (1 + threshold) - abs(a - sign(c)) > 0 else 0.0
        for a, c in zip(adversarial, clean, strict=True)
    ]
    masked = [m * a for m, a in zip(mask, adversarial, strict=True)]
    masked_clean = [m * c for m, c in zip(mask, clean, strict=True)]
    product = sum(a * c for a, c in zip(masked, masked_clean, strict=True))
    if not sum(mask):
        return 0.0
    return (product / sum(mask) + 1) ** 2 + beta * (sum(masked) / len(masked)) ** 2


def dhta_loss(logits, anchor, alpha):
    """DHTA Eq. 9; `target_adv_loss` of attack_imagenet.py (jiawangbai/DHTA-master)."""
    return -sum(a * math.tanh(alpha * v) for a, v in zip(anchor, logits, strict=True)) / len(anchor)


def cgat_loss(logits, code, alpha):
    """`adv_loss` of central_adv_train.py (xunguangwang/CgAT), which has alpha = 1."""
    products = [c * math.tanh(alpha * v) for c, v in zip(code, logits, strict=True)]
    return sum(products) / len(products)


def saat_loss(logits, code, alpha, targeted):
    """`adv_loss` and `adv_loss_targeted` of model/adv_generator/base.py (xandery-geek/SAAT).

    Deliberate: the sum of the weights is this query's; theirs is that of the batch.
    """
    similarities = [c * math.tanh(alpha * v) for c, v in zip(code, logits, strict=True)]
    if targeted:
        kept = [s for s in similarities if s < 0.5]
        return -sum((s + 2) * s for s in kept) / len(kept) if kept else 0.0
    kept = [s for s in similarities if s > -0.5]
    return sum((s + 2) * s for s in kept) / len(kept) if kept else 0.0


def pta_loss(logits, positives, negatives, alpha, temperature):
    """PTA (MM 2023): 1 - AP~, ranks smoothed by a sigmoid whose exponent is clamped to +-50."""
    outputs = [math.tanh(alpha * v) for v in logits]

    def distance(code):
        return (len(code) - sum(a * b for a, b in zip(outputs, code, strict=True))) / 2

    far, others = [distance(code) for code in positives], [distance(code) for code in negatives]

    def before(one, other):
        return 1 / (1 + math.exp(max(-50, min(50, -(one - other) / temperature))))

    shares = []
    for i, own in enumerate(far):
        rank_own = 1 + sum(before(own, other) for j, other in enumerate(far) if j != i)
        shares.append(rank_own / (rank_own + sum(before(own, other) for other in others)))
    return 1 - sum(shares) / len(shares)


def feature_shift_loss(features, clean):
    """Ours: minus the mean squared change of the features over their own mean square."""
    change = sum((a - b) ** 2 for a, b in zip(features, clean, strict=True)) / len(clean)
    size = sum(b * b for b in clean) / len(clean)
    return -change / size if size else -change


def sdha_loss(logits, codes, alpha, targeted):
    """`surrogate_func`, `surrogate_func_targeted` and `sdha_loss` (model/attack_model/sdha.py).

    Without the mean squared change. Deliberate: a logit of 0 is a bit of -1, half a bit in theirs.
    """
    outputs, total = [math.tanh(alpha * v) for v in logits], 0.0
    for code in codes:
        near = sum(1 for v, bit in zip(logits, code, strict=True) if sign(v) != bit)
        far = 0.0
        for q, r in zip(outputs, code, strict=True):
            if targeted:
                far += abs(q - r) / 2 / (1 + math.exp(10 * q * r))
            else:
                agreeing = 1 / (1 + math.exp(-5 * q * r))
                far += abs(q - r) / 2 * agreeing + 1 - agreeing
        total += far * (near + 1e-8) ** (0.3 if targeted else -0.5)
    surrogate = total / len(codes)
    return 25 / len(logits) * (surrogate if targeted else -surrogate)


def candidate_loss(logits, queries, database, alpha, towards):
    """robrank's `RankLossCandidateAttack` with Hamming distances: CA+ towards the queries, CA- not.

    Args:
        logits: K, of the candidate.
        queries: codes of its queries.
        database: codes of all other items.
        alpha: slope of the activation.
        towards: CA+.
    """
    outputs, terms = [math.tanh(alpha * v) for v in logits], []
    for query in queries:
        own = (len(query) - sum(a * b for a, b in zip(outputs, query, strict=True))) / 2
        for item in database:
            other = sum(1 for a, b in zip(item, query, strict=True) if a != b)
            terms.append(max(0.0, own - other if towards else other - own))
    return sum(terms) / len(terms)


# ---- codes that stand for a set of items or for a label


def anchor(codes):
    """DHTA Alg. 1 and Eq. 7: +1 where +1 has at least as many votes (their code: sign, 0 at a tie).

    Args:
        codes: rows of -1/+1.
    """
    result = []
    for j in range(len(codes[0])):
        plus = sum(1 for code in codes if code[j] == 1)
        minus = sum(1 for code in codes if code[j] == -1)
        result.append(1 if plus >= minus else -1)
    return result


def center_code(label, codes, labels):
    """`hash_center_code` of central_adv_train.py (xunguangwang/CgAT).

    w1 is 1 where a label is shared, w2 = 1 - w1, c the sum of w2, N the items: the sign of
    sum c w1 B - (N - c) w2 B. Deliberate: a sum of 0 gives +1.
    """
    w1 = [1 if any(a and b for a, b in zip(label, other, strict=True)) else 0 for other in labels]
    c, n = w1.count(0), len(codes)
    votes = []
    for bit in range(len(codes[0])):
        vote = 0
        for share, code in zip(w1, codes, strict=True):
            vote += c * share * code[bit] - (n - c) * (1 - share) * code[bit]
        votes.append(vote)
    return [1 if vote >= 0 else -1 for vote in votes]


def mainstay_code(label, codes, labels):
    """`generate_mainstay_code` of adv_attack.py (xandery-geek/SAAT).

    w_1 is the cosine of the labels, w_2 = 1 - sign(w_1), each over its sum, or 0 where that is 0;
    the sign of w_1 B - w_2 B. Deliberate: a sum of 0 gives +1.
    """
    w_1, w_2 = [], []
    for other in labels:
        shared = sum(a * b for a, b in zip(label, other, strict=True))
        norms = math.sqrt(sum(label)) * math.sqrt(sum(other))
        w_1.append(shared / norms if norms else 0.0)
        w_2.append(0.0 if shared else 1.0)
    votes = []
    for bit in range(len(codes[0])):
        vote = 0.0
        for weights, direction in ((w_1, 1), (w_2, -1)):
            total = sum(weights)
            if total:
                column = zip(weights, codes, strict=True)
                vote += direction * sum(w * code[bit] for w, code in column) / total
        votes.append(vote)
    return [1 if vote > -1e-12 else -1 for vote in votes]


# ---- schedules, projections, steps


def paper_alpha(iteration):
    """HAG IV-C and DHTA 4.2: 0.1 for 1000 iterations, then the next of the list every 200."""
    if iteration < 1000:
        return 0.1
    return [0.2, 0.3, 0.5, 0.7, 1.0][(iteration - 1000) // 200]


def code_alpha(iteration, iterations):
    """`alpha_vector` of main.py (HAG) and `get_alpha` of model/util.py (SAAT): tenths of it all."""
    tenths = [0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0]
    return tenths[iteration * 10 // iterations]


def clip(perturbed, clean, epsilon):
    """HAG Eq. 4 for one value in [0, 1]."""
    return min(1.0, clean + epsilon, max(0.0, clean - epsilon, perturbed))


def project(perturbation, clean, epsilon):
    """HAG Eq. 4 for tensors: the nearest perturbation in the ball that keeps inputs in [0, 1]."""
    lowest, highest = (-clean).clamp(min=-epsilon), (1 - clean).clamp(max=epsilon)
    return perturbation.maximum(lowest).minimum(highest)


def momentum_sign_steps(gradients, lr, momentum):
    """MI-FGSM, Dong et al. Eq. 6 and 7, for one query from 0: the gradients as they come."""
    place, speed = [0.0] * len(gradients[0]), [0.0] * len(gradients[0])
    for gradient in gradients:
        norm = sum(abs(v) for v in gradient)
        unit = [v / norm if norm else 0.0 for v in gradient]
        speed = [momentum * s + u for s, u in zip(speed, unit, strict=True)]
        place = [p - lr * ((s > 0) - (s < 0)) for p, s in zip(place, speed, strict=True)]
    return place


def nesterov_sign_steps(gradient_at, start, lr, momentum, steps):
    """`graph` of ni_fgsm.py (JHL-HUST/SI-NI-FGSM) for one query, downhill.

    The gradient is taken at x - momentum lr g and divided by the MEAN of its absolute values.
    """
    place, speed = list(start), [0.0] * len(start)
    for _ in range(steps):
        ahead = [p - momentum * lr * s for p, s in zip(place, speed, strict=True)]
        gradient = gradient_at(ahead)
        mean = sum(abs(v) for v in gradient) / len(gradient)
        speed = [momentum * s + v / mean for s, v in zip(speed, gradient, strict=True)]
        place = [p - lr * ((s > 0) - (s < 0)) for p, s in zip(place, speed, strict=True)]
    return place


# ---- whole loops, as their authors run them; networks give H(x) of inputs in [0, 1]


def gradient_of(loss, x):
    (gradient,) = torch.autograd.grad(loss, x)
    return gradient


def hag_paper_loop(network, image, iterations, rate=500.0, momentum=0.9, epsilon=10.0, t=0.5):
    """HAG Alg. 1 with IV-C for one image (1, ...): on 0..255, TensorFlow's SGD with momentum."""
    clean = image * 255
    x, speed = clean.clone(), torch.zeros_like(clean)
    with torch.no_grad():
        clean_logits = network(clean / 255)
    for iteration in range(iterations):
        alpha = paper_alpha(iteration * 2000 // iterations)
        x = x.detach().requires_grad_()
        adversarial = torch.tanh(alpha * network(x / 255))
        original = torch.tanh(alpha * clean_logits)
        code = torch.where(original > 0, 1.0, -1.0).to(x)
        w = ((adversarial - code).abs() < 1 + t).to(x)
        if w.sum() == 0:
            gradient = torch.zeros_like(x)
        else:
            inner = ((w * original) * (w * adversarial)).sum() / w.sum()
            gradient = gradient_of((inner + 1) ** 2, x)
        speed = momentum * speed + gradient
        x = x.detach() - rate * speed
        x = torch.minimum(
            torch.full_like(x, 255.0),
            torch.minimum(
                clean + epsilon,
                torch.maximum(torch.zeros_like(x), torch.maximum(clean - epsilon, x)),
            ),
        )
    return x.detach() / 255


def hag_code_loop(network, image, iterations, rate=100.0, epsilon=10.0, t=0.5, beta=1.0):
    """main.py (yangerkun's repository of HAG) for one image (1, ...): no box, no momentum."""
    clean = image * 255
    x = clean.clone()
    with torch.no_grad():
        or_code = torch.tanh(network(clean / 255))
    for n in range(iterations):
        alpha = code_alpha(n, iterations)
        x = x.detach().requires_grad_()
        ad_code = torch.tanh(alpha * network(x / 255))
        if n % 10 == 0 and ((ad_code > 0) != (or_code > 0)).all():
            break
        s = (torch.sign((1 + t) - (ad_code.detach() - torch.sign(or_code)).abs()) + 1) / 2
        masked, masked_or = s * ad_code, s * or_code
        ad_loss = ((masked_or @ masked.T) / s.sum() + 1).square().mean()
        loss = ad_loss + beta * masked.mean().square()
        x = x.detach() - rate * gradient_of(loss, x)
        x = torch.minimum(torch.maximum(x, clean - epsilon), clean + epsilon)
    return x.detach() / 255


def dhta_code_loop(network, image, target_hash, mean, std, iterations, epsilon=0.032, rate=1.0):
    """`target_adv` of attack_imagenet.py (jiawangbai/DHTA-master) for one image (1, 3, H, W).

    In normalised space; the step is the gradient over its L2 norm; clamped to the box, then to the
    ball. Their steps of 1 are for 224 x 224 x 3 values.
    """
    query = (image - mean) / std
    delta = torch.zeros_like(query)
    for i in range(iterations):
        factor = paper_alpha(i * 2000 // iterations)
        delta = delta.detach().requires_grad_()
        output = torch.tanh(network((query + delta) * std + mean) * factor)
        loss = -output.mm(target_hash.T).sum() / (output.shape[-1] * len(target_hash))
        gradient = gradient_of(loss, delta)
        delta = delta.detach() - rate * gradient / torch.norm(gradient, 2)
        images = (((delta + query) * std + mean) * 255).clamp(0, 255)
        delta = ((images / 255 - mean) / std - query).clamp(-epsilon, epsilon)
    return (query + delta) * std + mean


def cgat_loop(network, query, target_hash, start, epsilon=8 / 255, step=2, iterations=7):
    """`hash_adv` of central_adv_train.py (xunguangwang/CgAT) for a batch.

    Args:
        network: gives H(x).
        query: (B, ...) in [0, 1].
        target_hash: (B, K) of -1/+1.
        start: (B, ...), their uniform draw in the ball.
    """
    delta = (query + start).clamp(0, 1) - query
    for _ in range(iterations):
        delta = delta.detach().requires_grad_()
        loss = torch.mean(torch.tanh(network(query + delta)) * target_hash)
        delta = delta.detach() - step / 255 * torch.sign(gradient_of(loss, delta))
        delta = delta.clamp(-epsilon, epsilon)
        delta = (query + delta).clamp(0, 1) - query
    return query + delta


def saat_loop(network, images, target_code, start, targeted, iterations=100, epsilon=8 / 255):
    """`PGDGenerator.forward` and `BaseGenerator` of model/adv_generator (xandery-geek/SAAT).

    The arguments are those of :func:`cgat_loop`; the weights are summed over the batch.
    """
    delta = (images + start).clamp(0, 1) - images
    for i in range(iterations):
        delta = delta.detach().requires_grad_()
        adv_code = torch.tanh(code_alpha(i, iterations) * network(images + delta))
        sim = adv_code * target_code
        w = (sim < 0.5).int() if targeted else (sim > -0.5).int()
        loss = (w * (sim + 2) * sim).sum() / w.sum()
        gradient = gradient_of(-loss if targeted else loss, delta)
        delta = delta.detach() - 1.0 / 255 * torch.sign(gradient)
        delta = delta.clamp(-epsilon, epsilon)
        delta = (images + delta).clamp(0, 1) - images
    return images + delta


def fgsm_loop(loss_of, images, iterations, max_epsilon, momentum, ahead):
    """`graph` of mi_fgsm.py and, where it looks ahead, ni_fgsm.py (JHL-HUST/SI-NI-FGSM), downhill.

    On their [-1, 1]: eps = 2 max_epsilon / 255, steps of eps / iterations.

    Args:
        loss_of: images (B, ...) in [0, 1] to losses (B,).
        images: (B, ...) in [0, 1].
        iterations: how many.
        max_epsilon: on the 0..255 scale.
        momentum: decay of the accumulated gradients.
        ahead: whether the gradient is taken ahead.
    """
    x = images * 2 - 1
    eps = 2.0 * max_epsilon / 255.0
    alpha = eps / iterations
    x_max, x_min = (x + eps).clamp(-1.0, 1.0), (x - eps).clamp(-1.0, 1.0)
    grad = torch.zeros_like(x)
    for _ in range(iterations):
        x = x.detach().requires_grad_()
        x_nes = x + momentum * alpha * grad if ahead else x
        noise = gradient_of(-loss_of((x_nes + 1) / 2).sum(), x)
        noise = noise / noise.abs().mean(dim=tuple(range(1, x.dim())), keepdim=True)
        grad = momentum * grad + noise
        x = (x.detach() + alpha * torch.sign(grad)).maximum(x_min).minimum(x_max)
    return (x + 1) / 2
