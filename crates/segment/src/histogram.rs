//! How many matching events lie in each span of time.

use annals_query::Filter;

use crate::{Segment, SegmentError, matching};

/// Counts the matching events between neighbouring edges: `counts[i]` is for times in `[edges[i], edges[i + 1])`,
/// microseconds since 1970. Edges rise strictly.
///
/// # Errors
/// [`SegmentError`] if a segment is damaged.
pub fn histogram(
    segments: &[&dyn Segment],
    filter: &Filter,
    edges: &[i64],
) -> Result<Vec<u64>, SegmentError> {
    let mut counts = vec![0; edges.len().saturating_sub(1)];
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else { return Ok(counts) };
    for segment in segments {
        let Some((from, to)) = segment.time_range().filter(|(from, to)| to >= first && from < last) else {
            continue;
        };
        let rows = match filter {
            Filter::And(all) if all.is_empty() => None,
            filter => Some(matching(*segment, filter)?),
        };
        // Only the spans that the segment reaches.
        let start = edges.partition_point(|edge| *edge <= from).saturating_sub(1);
        let end = edges.partition_point(|edge| *edge <= to).min(counts.len());
        let mut row = segment.first_row_at(edges[start])?;
        for at in start..end {
            let next = segment.first_row_at(edges[at + 1])?;
            counts[at] += u64::from(match &rows {
                None => next - row,
                Some(rows) => rows.count_in(row..next),
            });
            row = next;
        }
    }
    Ok(counts)
}
