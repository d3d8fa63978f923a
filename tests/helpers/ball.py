"""An L2 ball, written as a user of the package writes a budget."""

import torch

from lightning_hash.attacks import Budget, query_generator


class Ball(Budget):
    """The L2 ball around each query, cut by the box of inputs."""

    def project(self, perturbation, clean):
        flat = perturbation.flatten(1)
        scale = (self.epsilon / flat.norm(dim=1).clamp(min=1e-12)).clamp(max=1)
        perturbation.mul_(scale.view(-1, *[1] * (perturbation.dim() - 1)))
        perturbation.copy_((clean + perturbation).clamp(0, 1) - clean)

    def used(self, perturbation, live=None):
        return perturbation.flatten(1).norm(dim=1) / self.epsilon

    def draw(self, shape, index, seed):
        draws = [torch.randn(shape, generator=query_generator(f"{seed}/{int(q)}")) for q in index]
        return torch.stack([self.epsilon * draw / draw.norm() for draw in draws])

    def round_to_8bit(self, adversarial, clean):
        level, sent = clean * 255, adversarial * 255
        towards = torch.where(sent > level, torch.floor(sent), torch.ceil(sent))  # never beyond
        return torch.where(sent == level, level.round(), towards).clamp(0, 255).to(torch.uint8)
