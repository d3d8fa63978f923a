"""Searches of one query by loops over nested lists, one pixel at a time.

Square after Algorithms 1 and 2 of Andriushchenko et al. (ECCV 2020) with the schedule of their
square_attack.py; SignHunter after Algorithm 2 of Al-Dujaili and O'Reilly (ICLR 2020); NES after
Algorithm 1 of Ilyas et al. (ICML 2018) with ARRA's momentum. ``ask`` takes an image as a flat list
and returns its loss; random numbers are handed in.
"""


def inside(value, clean, epsilon):
    return min(max(value, clean - epsilon, 0.0), clean + epsilon, 1.0)


def share_of(share, number, total):
    i = int(number / total * 10000)
    for bound, factor in (
        (10, 1), (50, 2), (200, 4), (500, 8), (1000, 16), (2000, 32), (4000, 64), (6000, 128),
        (8000, 256),
    ):  # fmt: skip
        if i <= bound:
            return share / factor
    return share / 512


def square(ask, clean, shape, epsilon, total, share, uniform):
    """``uniform(number, count)`` are the draws of a proposal; of the start number is -1."""
    channels, height, width = shape

    def at(c, y, x):
        return (c * height + y) * width + x

    signs = [1 if u >= 0.5 else -1 for u in uniform(-1, channels * width)]
    image = [0.0] * len(clean)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                place = at(c, y, x)
                wanted = clean[place] + epsilon * signs[c * width + x]
                image[place] = inside(wanted, clean[place], epsilon)
    best, asked = ask(image), [list(image)]
    for number in range(total - 1):
        area = share_of(share, number, total) * height * width
        side = max(1, min(round(area**0.5), height, width))
        top, left, *colours = uniform(number, 2 + channels)
        top, left = int(top * (height - side + 1)), int(left * (width - side + 1))
        proposal = list(image)
        for c in range(channels):
            for y in range(top, top + side):
                for x in range(left, left + side):
                    place = at(c, y, x)
                    wanted = clean[place] + epsilon * (1 if colours[c] >= 0.5 else -1)
                    proposal[place] = inside(wanted, clean[place], epsilon)
        asked.append(list(proposal))
        loss = ask(proposal)
        if loss <= best:
            image, best = proposal, loss
    return image, asked


def signhunter(ask, clean, epsilon, total):
    size = len(clean)
    signs = [1] * size

    def made():
        return [inside(c + epsilon * s, c, epsilon) for c, s in zip(clean, signs, strict=True)]

    best, asked = ask(made()), [made()]
    level = part = 0
    while len(asked) < total:
        chunk = -(-size // 2**level)
        span = range(part * chunk, min(size, (part + 1) * chunk))
        for place in span:
            signs[place] = -signs[place]
        asked.append(made())
        loss = ask(made())
        if loss > best:
            for place in span:
                signs[place] = -signs[place]
        else:
            best = loss
        part += 1
        if part * chunk >= size:
            level, part = (0 if chunk == 1 else level + 1), 0
    return made(), asked


def nes(ask, clean, epsilon, iterations, options, normal):
    """``normal(iteration, pair)`` are a pair's draws; the sign step is that of the ball."""
    lr, pairs, sigma, momentum = options
    point, kept = list(clean), [0.0] * len(clean)
    places = []
    for iteration in range(iterations):
        estimate = [0.0] * len(clean)
        for pair in range(pairs):
            noise = normal(iteration, pair)
            values = []
            for sign in (1, -1):
                moved = [p + sign * sigma * u for p, u in zip(point, noise, strict=True)]
                values.append(
                    ask([inside(m, c, epsilon) for m, c in zip(moved, clean, strict=True)])
                )
            for place, u in enumerate(noise):
                estimate[place] += u * (values[0] - values[1]) / (2 * pairs * sigma)
        kept = [momentum * k + e for k, e in zip(kept, estimate, strict=True)]
        point = [
            inside(p - lr * ((k > 0) - (k < 0)), c, epsilon)
            for p, k, c in zip(point, kept, clean, strict=True)
        ]
        ask(point)
        places.append(list(point))
    return places
