"""Squares around faces: the same pixels wherever a network learns, is validated, and judges."""

import numpy as np
import pytest

from model import albums, crops, procedural, sources
from model.crops import VIEW, VIEW_MARGIN, Cutting
from tests.model.learning import WholePicture


@pytest.mark.parametrize(("width", "height"), [(640, 500), (90, 110), (224, 224)])
@pytest.mark.parametrize("size", [96, 160])
def test_what_is_judged_is_cut_as_what_training_learns_from(tmp_path, width, height, size):
    (tmp_path / "s/real").mkdir(parents=True)
    picture, _ = procedural.portrait(width, height, height * 0.6, 3)
    (tmp_path / "s/real/a.png").write_bytes(procedural.coded(picture, "PNG"))
    (tmp_path / "s/fake").mkdir()
    (tmp_path / "s/fake/b.png").write_bytes(procedural.coded(picture[:, ::-1].copy(), "PNG"))
    album = albums.open_or_build(tmp_path / "album", sources.read(tmp_path), WholePicture(), "whole", lambda: 0)
    row = [item.path.stem for item in album.items].index("a")
    learnt = crops.square(album.views[row], tuple(map(float, album.boxes[row])), 1.15, size)
    (face,) = WholePicture().find(picture)
    judged = Cutting(size, 1.15, through=True).face(picture, face.box)
    assert (judged == learnt).all()


def test_cut_from_the_picture_itself_a_face_is_other_pixels():
    picture, box = procedural.portrait(640, 500, 300, 3)
    straight, through = Cutting(160, 1.15).face(picture, box), Cutting(160, 1.15, through=True).face(picture, box)
    assert (straight == crops.square(picture, box, 1.15, 160)).all()
    assert 0 < np.abs(straight.astype(int) - through).mean() < 8


def test_a_view_holds_the_face_in_its_middle_with_its_longer_side_at_one_size():
    seen, (x, y, width, height) = crops.view(procedural.noise(300, 0), (40.0, 60.0, 80.0, 120.0))
    assert seen.shape == (VIEW, VIEW, 3)
    assert height == pytest.approx(VIEW / VIEW_MARGIN)
    assert width == pytest.approx(height * 80 / 120)
    assert (x + width / 2, y + height / 2) == pytest.approx((VIEW / 2, VIEW / 2))


@pytest.mark.parametrize("through", [False, True])
def test_a_box_without_an_area_is_refused(through):
    with pytest.raises(ValueError, match="area"):
        Cutting(64, 1.15, through).face(procedural.noise(64, 0), (3.0, 3.0, 0.0, 0.0))
