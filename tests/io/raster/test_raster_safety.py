"""Rasters that lie about themselves or point elsewhere."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from pyproj import CRS

from counting_server import counting_server
from landscribe.core.grid import Grid, Window
from landscribe.errors import DataError, LimitError
from landscribe.io.raster.rasters import open_raster, write_raster

GRID = Grid(61, 47, Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), CRS.from_epsg(32636))
IMAGE = np.random.default_rng(7).integers(0, 250, (3, 61, 47)).astype(np.uint8)


def vrt(source: str, *, raw: bool = False, beside: bool = False) -> str:
    kind = ' subClass="VRTRawRasterBand"' if raw else ""
    name = f'<SourceFilename relativeToVRT="{int(raw or beside)}">{source}</SourceFilename>'
    inner = (
        f"{name}<ImageOffset>0</ImageOffset>"
        if raw
        else f"<SimpleSource>{name}<SourceBand>1</SourceBand></SimpleSource>"
    )
    band = f'<VRTRasterBand dataType="Byte" band="1"{kind}>{inner}</VRTRasterBand>'
    return f'<VRTDataset rasterXSize="24" rasterYSize="31">{band}</VRTDataset>'


def good_tiff(path: Path) -> Path:
    with write_raster(path, GRID, count=3, dtype="uint8", overviews=False) as writer:
        writer.write(GRID.window, IMAGE)
    return path


def test_a_vrt_by_another_name_shows_no_other_file(tmp_path: Path):
    (tmp_path / "secret.txt").write_text("the secret of somebody else " * 40)
    evil = tmp_path / "evil.tif"
    evil.write_text(vrt("secret.txt", raw=True))
    with pytest.raises(DataError, match=r"evil\.tif: not a raster, got first bytes"), open_raster(evil):
        pass


@pytest.mark.parametrize("kind", ["vrt", "wms"])
def test_a_file_that_points_to_a_server_calls_nobody(tmp_path: Path, kind: str):
    with counting_server() as (url, asked):
        text = vrt(f"/vsicurl/{url}/a.tif")
        if kind == "wms":
            text = f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}</ServerUrl></Service></GDAL_WMS>'
        (tmp_path / "evil.tif").write_text(text)
        with pytest.raises(DataError, match="not a raster"), open_raster(tmp_path / "evil.tif"):
            pass
        assert asked == []


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("suffix", [".ovr", ".msk", ".aux.xml"])
def test_what_lies_beside_is_reported_and_not_followed(tmp_path: Path, suffix: str, beside: bool):
    path = good_tiff(tmp_path / "good.tif")

    def look() -> tuple[np.ndarray, np.ndarray]:
        with open_raster(path) as raster:
            assert raster.info.ignored == (f"good.tif{suffix}",)
            found = raster.read()
            assert raster._dataset.overviews(1) == []
        return found

    with counting_server() as (url, asked):
        (tmp_path / f"good.tif{suffix}").write_text(vrt(f"/vsicurl/{url}/a.tif"))
        # rasterio keeps settings of its own for every thread but the main one.
        if beside:
            with ThreadPoolExecutor(1) as pool:
                image_chw, valid_hw = pool.submit(look).result()
        else:
            image_chw, valid_hw = look()
        assert asked == []
    assert np.array_equal(image_chw, IMAGE)
    assert valid_hw.all()


def test_an_aux_xml_does_not_move_the_raster(tmp_path: Path):
    path = good_tiff(tmp_path / "good.tif")
    (tmp_path / "good.tif.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:4326</SRS><GeoTransform>1,2,0,3,0,4</GeoTransform>"
        '<PAMRasterBand band="1"><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>'
    )
    with open_raster(path) as raster:
        assert raster.info.grid == GRID
        assert raster.info.nodata is None


def test_overwriting_spares_what_a_sidecar_names(tmp_path: Path):
    path = good_tiff(tmp_path / "o.tif")
    victim = tmp_path / "victim.tif"
    victim.write_bytes(path.read_bytes())
    (tmp_path / "o.tif.ovr").write_text(vrt("victim.tif", beside=True))
    before = victim.read_bytes()
    good_tiff(path)
    assert victim.read_bytes() == before
    with open_raster(path) as raster:
        assert np.array_equal(raster.read()[0], IMAGE)


def test_a_jpeg_2000_whose_crs_is_a_link_calls_nobody(tmp_path: Path):
    good_tiff(tmp_path / "a.tif")
    options = {"GeoJP2": "NO", "GMLJP2": "YES", "QUALITY": "100", "REVERSIBLE": "YES"}
    rasterio.shutil.copy(tmp_path / "a.tif", tmp_path / "a.jp2", driver="JP2OpenJPEG", **options)
    with open_raster(tmp_path / "a.jp2") as raster:
        assert raster.info.grid == GRID
        assert np.array_equal(raster.read()[0], IMAGE)
    name = b"urn:ogc:def:crs:EPSG::32636"
    content = (tmp_path / "a.jp2").read_bytes()
    assert name in content
    with counting_server() as (url, asked):
        (tmp_path / "b.jp2").write_bytes(content.replace(name, f"{url}/xxxxxxxxx".encode()[: len(name)]))
        with open_raster(tmp_path / "b.jp2") as raster:
            raster.read()
            assert raster.info.grid.crs is None
        assert asked == []


def test_a_bomb_is_refused_before_it_unpacks(tmp_path: Path):
    size = 40_000
    profile = {"driver": "GTiff", "height": size, "width": size, "count": 1, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(
        tmp_path / "bomb.tif", "w", tiled=True, transform=Affine.scale(2), compress="deflate", **profile
    ):
        pass
    start = time.monotonic()
    with open_raster(tmp_path / "bomb.tif") as raster:
        with pytest.raises(LimitError, match=r"bomb\.tif: "):
            raster.read()
        _, valid_hw = raster.read(raster.info.grid.window.pad(-19_970))
        assert valid_hw.shape == (60, 60)
        assert not valid_hw.any()  # no tile was ever written
    assert time.monotonic() - start < 5


def test_what_nobody_could_go_through_is_refused_at_once(tmp_path: Path):
    profile = {"driver": "GTiff", "height": 600_000, "width": 500_000, "count": 1, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(
        tmp_path / "bomb.tif", "w", tiled=True, blockxsize=4096, blockysize=4096, transform=Affine.scale(2), **profile
    ):
        pass
    start = time.monotonic()
    match = r"bomb\.tif: unpacks to \d+ times its size, which images do not, got 279 GiB in a file of"
    with pytest.raises(LimitError, match=match), open_raster(tmp_path / "bomb.tif"):
        pass
    assert time.monotonic() - start < 5


def test_a_block_that_is_larger_than_the_window_counts(tmp_path: Path):
    grid = Grid(2111, 1999, Affine.scale(2))
    with rasterio.open(
        tmp_path / "o.tif", "w", driver="GTiff", height=2111, width=1999, count=3, dtype="uint8", tiled=True,
        blockxsize=1024, blockysize=2048, transform=grid.transform, interleave="pixel",
    ) as dataset:  # fmt: skip
        dataset.write(np.ones((3, *grid.shape_hw), dtype=np.uint8))
    with open_raster(tmp_path / "o.tif") as raster:
        with pytest.raises(LimitError, match="got 6 MiB, need at most 5 MiB"):
            raster.read(Window(3, 5, 7, 11), [2], limit_bytes=5 << 20)
        assert raster.read(Window(3, 5, 7, 11), [2], limit_bytes=7 << 20)[0].shape == (1, 7, 11)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("driver", ["GTiff", "PNG", "JPEG"])
def test_a_file_cut_short_is_an_error_and_no_grey(tmp_path: Path, driver: str, share: float):
    path = tmp_path / "cut.img"
    rng = np.random.default_rng(3)
    image_chw = rng.integers(0, 255, (3, 307, 211)).astype(np.uint8)
    good = good_tiff(tmp_path / "good.tif")
    with rasterio.open(
        good, "w", driver="GTiff", height=307, width=211, count=3, dtype="uint8", transform=Affine.scale(2)
    ) as dataset:
        dataset.write(image_chw)
    rasterio.shutil.copy(good, path, driver=driver)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"cut\.img: "), open_raster(path) as raster:
        raster.read()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(rows: int, *, packed: slice = slice(None), interlaced: int = 0) -> bytes:
    """Return a grey PNG of 61 x 47 pixels with `rows` rows of pixels in it."""
    header = struct.pack(">IIBBBBB", 47, 61, 8, 0, 0, 0, interlaced)
    pixels = zlib.compress(bytes(range(48)) * rows)[packed]
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", pixels[:50]), chunk(b"IDAT", pixels[50:]), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_png_with_all_its_rows_is_read(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(png(61))
    with open_raster(tmp_path / "a.png") as raster:
        assert raster.read()[0].shape == (1, 61, 47)


def test_a_png_that_was_made_short_is_refused(tmp_path: Path):
    good = png(61)
    flipped = bytearray(good)
    flipped[80] ^= 1
    bad = {
        "rows missing": png(60),
        "rows too many": png(5000),
        "stream without end": png(61, packed=slice(0, -6)),
        "a flipped bit": bytes(flipped),
        "no end": good[:-12],
        "no pixels": good[:33] + chunk(b"IEND", b""),
        "no header": good[:8] + good[33:],
    }
    for name, content in bad.items():
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.png: damaged or cut short"), open_raster(tmp_path / "a.png"):
            pytest.fail(name)


WRITE_FOR_EVER = """
import sys, numpy as np
from pathlib import Path
from landscribe.core.grid import Grid, Window
from landscribe.io.raster.rasters import write_raster
from affine import Affine
rng = np.random.default_rng(0)
grid = Grid(200_000, 1024, Affine.identity())
with write_raster(Path(sys.argv[1]), grid, count=1, dtype="uint8") as writer:
    for row in range(0, 200_000, 500):
        writer.write(Window(row, 0, 500, 1024), rng.integers(0, 255, (1, 500, 1024)).astype(np.uint8))
        print(row, flush=True)
"""


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path):
    path = good_tiff(tmp_path / "o.tif")
    before = path.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert path.read_bytes() == before
    (leftover,) = [p for p in tmp_path.iterdir() if p != path]
    assert leftover.name.startswith(".partial-")


def test_an_error_while_writing_leaves_nothing(tmp_path: Path):
    def write_and_fail() -> None:
        with write_raster(tmp_path / "o.tif", GRID, count=3, dtype="uint8") as writer:
            writer.write(GRID.window, IMAGE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, signal, sys, numpy as np
from pathlib import Path
from affine import Affine
from landscribe.core.grid import Grid
from landscribe.io.raster.rasters import write_raster
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
grid = Grid(701, 613, Affine.identity())
try:
    with write_raster(Path(sys.argv[1]), grid, count=1, dtype="uint8", mask=True) as writer:
        writer.write(grid.window, np.random.default_rng(0).integers(0, 255, (1, 701, 613)).astype(np.uint8))
        writer.write_mask(grid.window, np.ones((701, 613), dtype=bool))
    print("written")
except OSError as error:
    print("refused", error)
"""


@pytest.mark.parametrize("limit", [50_000, 300_000, 440_000, 520_000, 2_000_000])
def test_a_full_disk_leaves_a_whole_file_or_none(tmp_path: Path, limit: int):
    path = tmp_path / "o.tif"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(limit)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    if done.stdout.startswith("written"):
        with open_raster(path) as raster:
            assert raster.read()[1].all()
        assert limit > 440_000
    else:
        assert done.stdout.startswith("refused raster writer: GDAL could not write")
        assert list(tmp_path.iterdir()) == []
        assert limit < 2_000_000
