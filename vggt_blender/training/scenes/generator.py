"""Batches of scenes: drawn, looked over from a distance, rendered and labelled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .film import develop, random_film
from .kernels import Kernels, fused_kernels
from .layout import Layout, random_layout
from .materials import uniform
from .movers import carried, moved, owners, random_moves
from .paths import Cameras, random_cameras
from .preview import look_over
from .tracing import NEVER, first_depth, is_blocked, nearest_distance
from .views import camera_rays, label, pixel_corners, project

Batch = dict[str, Tensor]

_PREVIEW = (12, 16)
"""Rows and columns of the rays that judge a candidate scene."""
_OVERLAP = (0.12, 0.9)
"""How much of their surface the frames of a scene share: anything between, each as often."""
_SUBPIXELS = ((0.125, 0.625), (0.375, 0.125), (0.625, 0.875), (0.875, 0.375))
"""A rotated grid: no two samples share a row or column."""


def sent(values: Tensor, device: torch.device) -> Tensor:
    """`values`, of the CPU, on the device; a GPU goes on working while they travel."""
    if device.type != "cuda":
        return values.to(device)
    return values.contiguous().pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True)
class SceneConfig:
    """What a generator makes.

    ``supersample`` 1 to 4 color samples a pixel; ``candidates`` scenes drawn for each one kept: the one whose frames
    overlap as much as was asked for, unless a camera is inside something or hardly moves; ``outdoor`` and ``terrain``
    shares; ``movers`` the share of scenes in which some things move; ``tracks`` points a scene, 0 for none;
    ``images_per_chunk`` bounds the memory; ``compile`` fuses the kernels (slow start, several times faster).
    """

    supersample: int = 4
    shadows: bool = True
    candidates: int = 4
    outdoor: float = 0.35
    terrain: float = 0.15
    movers: float = 0.0
    tracks: int = 0
    images_per_chunk: int = 32
    compile: bool = False


class SceneGenerator:
    """An endless stream: batch `index` of a `seed` is the same on every call and after every restart."""

    def __init__(
        self, config: SceneConfig, device: torch.device | str = "cpu", seed: int = 0, pictures: Tensor | None = None
    ) -> None:
        """`pictures` (K, T, T, 3) linear colors to put on surfaces, or None."""
        self.config, self.device, self.seed = config, torch.device(device), seed
        self.pictures = None if pictures is None else pictures.to(self.device)
        self.kernels = fused_kernels() if config.compile else Kernels()

    @torch.no_grad()
    def batch(self, index: int, scenes: int, frames: int, height: int, width: int) -> Batch:
        """`scenes` scenes of `frames` pictures of `height` x `width`.

        ``images`` (B, S, 3, H, W) in [0, 1]; ``depths`` (B, S, H, W) Z depth at pixel centres, 0 where there is only
        sky; ``extrinsics`` (B, S, 3, 4), ``intrinsics`` (B, S, 3, 3); ``cam_points``, ``world_points`` (B, S, H, W, 3);
        ``point_masks`` (B, S, H, W) bool; with tracks ``tracks`` (B, S, N, 2) pixels, starting at pixel centres of
        frame 0, and ``track_visible`` (B, S, N) by exact ray casts.
        """
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index) % (1 << 62))
        terrain = bool(torch.rand((), generator=generator) < self.config.terrain)
        layout, cameras = self._choose(generator, scenes, frames, height, width, terrain)
        film = self._sent(random_film(generator, scenes, frames))
        moves: Tensor | None = None
        if self.config.movers:
            moves = sent(random_moves(generator, scenes, frames, self.config.movers), self.device)
            moves = moves * layout["reach"][:, None, None, None]
        light, depths = self._render(generator, layout, moves, cameras, height, width, terrain)
        noise_generator = torch.Generator(self.device).manual_seed(int(torch.randint(1 << 62, (), generator=generator)))
        noise = torch.randn(*depths.shape, 1, generator=noise_generator, device=self.device)
        batch = {"images": develop(light, film, noise), "depths": depths}
        batch |= label(depths, cameras)
        if self.config.tracks:
            batch |= self._tracks(generator, layout, moves, batch, terrain)
        return batch

    def _sent(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: sent(value, self.device) for name, value in tensors.items()}

    def _choose(
        self, generator: torch.Generator, scenes: int, frames: int, height: int, width: int, terrain: bool
    ) -> tuple[Layout, Cameras]:
        """Layouts and cameras that stand clear and overlap as much as each scene is to, from more than are needed.

        The wanted overlap is drawn too: the best of several candidates would be the one that hardly moves.
        """
        drawn = scenes * max(self.config.candidates, 1)
        pictures = 0 if self.pictures is None else len(self.pictures)
        layout = random_layout(generator, drawn, outdoor=self.config.outdoor, terrain=terrain, pictures=pictures)
        cameras = random_cameras(generator, layout, frames, height, width)
        layout = self._sent(layout)
        cameras = Cameras(**self._sent(vars(cameras)))
        if drawn == scenes:
            return layout, cameras
        rows, columns = (torch.arange(n, device=self.device) + 0.5 for n in _PREVIEW)
        grid = torch.stack(
            torch.meshgrid(rows * (height / _PREVIEW[0]), columns * (width / _PREVIEW[1]), indexing="ij"), -1
        ).flip(-1).reshape(1, -1, 2)  # fmt: skip
        depth = self._depth(layout, cameras, grid, terrain)
        wanted = sent(uniform(generator, *_OVERLAP, scenes, 1), self.device)
        seen = look_over(depth, cameras, grid[0], (height, width), _PREVIEW, layout["reach"])
        cost = seen.misses(wanted.expand(-1, self.config.candidates).flatten()).view(scenes, -1)
        best = cost.argmin(dim=-1) + torch.arange(0, drawn, self.config.candidates, device=self.device)
        return {name: value[best] for name, value in layout.items()}, Cameras(
            cameras.extrinsics[best], cameras.intrinsics[best]
        )

    def _depth(self, layout: Layout, cameras: Cameras, pixels: Tensor, terrain: bool) -> Tensor:
        """Depth (B, S, R) at `pixels` (1, R, 2), uncompiled: a few rays a frame."""
        scenes, frames = cameras.extrinsics.shape[:2]
        owner = torch.arange(scenes, device=self.device).repeat_interleave(frames)
        flat = Cameras(cameras.extrinsics.flatten(0, 1), cameras.intrinsics.flatten(0, 1))
        depth = []
        for part in torch.arange(len(owner), device=self.device).split(4 * self.config.images_per_chunk):
            origin, direction = camera_rays(Cameras(flat.extrinsics[part], flat.intrinsics[part]), pixels)
            scene = {name: value[owner[part]] for name, value in layout.items()}
            object_t = nearest_distance(scene, origin, direction)
            depth.append(first_depth(scene, origin, direction, object_t, terrain))
        return torch.cat(depth).unflatten(0, (scenes, frames))

    def _render(
        self,
        generator: torch.Generator,
        layout: Layout,
        moves: Tensor | None,
        cameras: Cameras,
        height: int,
        width: int,
        terrain: bool,
    ) -> tuple[Tensor, Tensor]:
        """Linear light (B, S, H, W, 3) and depth (B, S, H, W), some images at a time."""
        scenes, frames = cameras.extrinsics.shape[:2]
        owner = torch.arange(scenes, device=self.device).repeat_interleave(frames)
        flat = Cameras(cameras.extrinsics.flatten(0, 1), cameras.intrinsics.flatten(0, 1))
        samples = self.config.supersample
        offsets = self._sent({"light": torch.randn(samples, len(owner), 3, generator=generator)})["light"]
        corners = pixel_corners(height, width, self.device)
        light, depth = [], []
        for part in torch.arange(len(owner), device=self.device).split(self.config.images_per_chunk):
            scene = {name: value[owner[part]] for name, value in layout.items()}
            if moves is not None:
                scene = moved(scene, moves.flatten(0, 1)[part])
            view = Cameras(flat.extrinsics[part], flat.intrinsics[part])
            origin, direction = camera_rays(view, corners + 0.5)
            object_t = self.kernels.nearest_distance(scene, origin, direction)
            depth.append(first_depth(scene, origin, direction, object_t, terrain))
            total = torch.zeros_like(direction)
            for sample in range(samples):
                x, y = _SUBPIXELS[sample] if samples > 1 else (0.5, 0.5)
                _, direction = camera_rays(view, torch.stack([corners[..., 0] + x, corners[..., 1] + y], dim=-1))
                total += self._radiance(scene, view, origin, direction, offsets[sample, part], terrain)
            light.append(total / samples)
        depths = torch.cat(depth).view(scenes, frames, height, width)
        depths = torch.where(depths < NEVER, depths, 0.0)
        return torch.cat(light).transpose(1, 2).reshape(scenes, frames, height, width, 3), depths

    def _radiance(
        self, scene: Layout, view: Cameras, origin: Tensor, direction: Tensor, light_offset: Tensor, terrain: bool
    ) -> Tensor:
        """Linear light (F, 3, R) along `direction` (F, 3, R)."""
        object_t, index = self.kernels.nearest_object(scene, origin, direction)
        hits, rays = self.kernels.find_surfaces(scene, origin, direction, object_t, index, light_offset, terrain)
        blocked = rays.in_shade
        if self.config.shadows:
            blocked = blocked | (self.kernels.nearest_distance(scene, rays.origin, rays.direction) < rays.limit)
        pixel = 1.0 / view.intrinsics[:, 0, 0]
        return self.kernels.shade(scene, direction, hits, rays.origin, blocked, pixel, self.pictures)

    def _tracks(
        self, generator: torch.Generator, layout: Layout, moves: Tensor | None, batch: Batch, terrain: bool
    ) -> Batch:
        """Points of frame 0 in every frame; a point is seen where the ray to it meets nothing before it."""
        mask = batch["point_masks"][:, 0].flatten(1)
        chances = torch.rand(*mask.shape, generator=generator).to(self.device) * mask
        chosen = chances.topk(self.config.tracks, dim=-1).indices
        start = batch["world_points"][:, 0].flatten(1, 2)
        points = start.gather(1, chosen[..., None].expand(-1, -1, 3))
        extrinsics, intrinsics = batch["extrinsics"], batch["intrinsics"]
        height, width = batch["depths"].shape[-2:]
        size = torch.tensor([width, height], device=self.device)
        owner: Tensor | None = None
        found = []
        for frame in range(extrinsics.shape[1]):
            rotation, translation = extrinsics[:, frame, :, :3], extrinsics[:, frame, :, 3]
            origin = -(rotation.transpose(-1, -2) @ translation[..., None])[..., 0]
            scene, there = layout, points
            if moves is not None:
                scene = moved(layout, moves[:, frame])
                if owner is None:
                    owner = owners(scene, origin, (points - origin[:, None]).transpose(1, 2), terrain)
                there = points + carried(moves[:, frame] - moves[:, 0], owner)
            track, depth = project(there, extrinsics[:, frame, None], intrinsics[:, frame, None])
            track, depth = track[:, 0], depth[:, 0]
            inside = (depth > 0) & ((track > 0) & (track < size)).all(dim=-1) & mask.gather(1, chosen)
            limit = torch.full_like(depth, 1.0 - 1e-3)
            blocked = is_blocked(scene, origin, (there - origin[:, None]).transpose(1, 2), limit, terrain)
            found.append((track, inside & ~blocked))
        tracks, visible = (torch.stack(parts, dim=1) for parts in zip(*found, strict=True))
        return {"tracks": tracks, "track_visible": visible}
