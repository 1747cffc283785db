"""Hands in the rows of a Hugging Face `datasets.Dataset`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from handseg.integrations.rows import HandColumns
from handseg.runtime.extras import needing_extras

if TYPE_CHECKING:
    import datasets


class SegmentRows(HandColumns):
    """A function for `datasets.Dataset.map` that adds columns with the hands.

    If a photo cannot be read, or fails otherwise, `error` says why. `map` caches results as for any
    function; they are computed again for another version of handseg, other options or other
    weights.

    Examples:
        >>> rows = SegmentRows("handseg-lite", threads=1)
        >>> found = photos.map(rows, batched=True, batch_size=32, num_proc=8)
        >>> found.filter(lambda row: row["error"] is not None)

    `map` returns all columns: remove unwanted ones before or afterwards, because its own
    `remove_columns` has no effect. Pass `features=rows.features(photos.features)` if batches are
    Python objects: for a streamed data set, or after `with_format`.
    """

    def features(self, before: Mapping[str, Any] | None = None) -> datasets.Features:
        """Return the features of the rows: those of `before` and of the added columns."""
        with needing_extras("SegmentRows"):
            import datasets
        added = datasets.Features.from_arrow_schema(self.schema())
        if self.masks == "png":
            for name in added.keys() & {"masks", "object_masks"}:
                added[name] = datasets.List(datasets.Image())
        return datasets.Features({**(before or {}), **added})

    def __call__(self, batch: Any) -> Any:
        """Return a batch with the new columns, for `map`.

        Raises:
            ValueError: if the photos' column is missing, an added column already exists,
                or `batch` is a single row.
            ModelError: if the segmenter cannot be loaded.
        """
        with needing_extras("SegmentRows"):
            import datasets
            import pyarrow as pa
            from datasets.formatting.formatting import LazyDict
            from datasets.table import table_cast

        # Use the stored bytes: `datasets` would decode all photos, and one bad one fails the batch.
        table = batch.pa_table if isinstance(batch, LazyDict) else batch
        if isinstance(table, pa.Table):
            before = datasets.Features.from_arrow_schema(table.schema)
            return table_cast(self.add_to(table), self.features(before).arrow_schema)
        self.check(batch)
        photos = batch[self.column]
        if isinstance(photos, str | bytes | Mapping) or not hasattr(photos, "__len__"):
            raise ValueError("SegmentRows takes batches: map with batched=True")
        return self.rows(photos)
