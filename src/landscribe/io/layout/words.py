"""Words in names of files and folders, and what they say about what lies there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from landscribe.core.legend import named_colour, singular


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LABEL_WORDS = _words(
    "mask masks label labels lbl lab gt groundtruth truth annotation annotations annot anno seg segmentation segm "
    "target targets labeled labelled classes landcover landuse lulc"
)
"""Words that stand for labels in a name of pictures."""
QUALITY_WORDS = _words(
    "scl qa qa60 qapixel udm udm2 cloudmask clouds cloud cloudprob aot wvp thumbnail preview overview tki"
)
"""Layers beside imagery that are no measurement of the ground: scene classification, cloud and quality masks."""
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "validate"),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), "test"),
}
"""Folders that say which side of a split their files are on."""
SENSOR_WORDS = _words(
    "rgb nir pan ms mul mspec swir red green blue rededge red_edge thermal tir ir coastal cirrus m p a visual vis grey "
    "gray multispectral panchromatic rgbn cir"
)
BAND_WORD = re.compile(r"(?:b|band)_?\d{1,2}a?", re.IGNORECASE)
"""A band by its number: B02, B8A, band4."""
GENERIC = LABEL_WORDS | _words(
    "image images img imgs raster rasters tile tiles scene scenes chip chips patch patches data dataset geojson json "
    "shp shape shapes vector vectors polygon polygons gpkg geo public aoi all layer layers features export final new "
    "raw the of and by ground rgb nir pan ms ortho orthophoto orthomosaic mosaic geotiff geotiffs tif tiff png jpg "
    "csv parquet fgb part train training val valid validation test map maps file files folder input inputs output "
    "outputs footprints footprint outline outlines pansharpen coco instances default annotated manual digitized "
    "version bild bilder luftbild luftbilder maske masken kachel kacheln vektor vektoren wahrheit daten neu nr"
)
"""Words that name no class."""
PIECES = re.compile(r"[^\W\d_]+")
"""Words in any script."""


def pieces(text: str) -> list[str]:
    """Return the words of a name in lower case, digits and signs left out."""
    # Some systems write a letter and its dots as two signs.
    whole = unicodedata.normalize("NFC", text)
    spaced = "".join(
        f" {sign}" if sign.isupper() and before.islower() else sign
        for before, sign in zip(f" {whole}", whole, strict=False)
    )
    return [word.lower() for word in PIECES.findall(spaced)]


def means_labels(text: str) -> bool:
    """Tell whether a path or word speaks of labels."""
    return bool(LABEL_WORDS & set(pieces(text)))


def means_quality(text: str) -> bool:
    """Tell whether the name of a file speaks of a quality layer or a thumbnail."""
    tokens = {token.lower() for token in re.split(r"[^A-Za-z0-9]+", text)}
    return bool(QUALITY_WORDS & tokens)


def class_word(*names: str, no_class: Collection[str] = ()) -> tuple[str | None, bool]:
    """Return the class that names of files or folders tell, and whether it is a known noun.

    A known noun goes before others, whichever name has it (`buildings_v2` is "building"); of the first name without one
    all words that are not generic are taken (`vine_rows` is "vine_rows").

    Args:
        names: From the most telling one on, without field names.
        no_class: Words that name no class here unless they are known nouns, such as those in names of the images.
    """
    for name in names:
        words = pieces(name)
        known = [word not in GENERIC and named_colour(word) is not None for word in words]
        if any(known):
            start = known.index(True)
            stop = next((k for k in range(start, len(known)) if not known[k]), len(known))
            return "_".join([*words[start : stop - 1], singular(words[stop - 1])]), True
    for name in names[:1]:
        telling = [
            word
            for word in pieces(name)
            if word not in GENERIC and word not in no_class and (len(word) > 2 or not word.isascii())
        ]
        if telling:
            return "_".join(telling), False
    return None, False
