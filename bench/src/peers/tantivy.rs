//! tantivy: one text field a column, times in a fast field, events in its document store.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use tantivy::collector::{Count, TopDocs};
use tantivy::query::{AllQuery, BooleanQuery, Occur, RangeQuery, RegexQuery, TermQuery};
use tantivy::schema::{
    FAST, Field, IndexRecordOption, NumericOptions, STORED, STRING, Schema, TantivyDocument, Value as _,
};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::{Index, IndexReader, IndexSettings, Order, ReloadPolicy, Term};

use crate::Generator;
use crate::log::{SEED, bench_data};
use crate::measure::{disk_bytes, own_cpu_seconds};
use crate::peers::{Answer, Peer};
use crate::results::Results;
use crate::row::Row;
use crate::shapes::{Column, Query, Test};

/// Memory that indexing may use before it writes a segment.
const WRITER_BYTES: usize = 1 << 30;
const DOCUMENT_BLOCK_BYTES: usize = 65_536;

/// tantivy.
pub struct Tantivy {
    reader: IndexReader,
    schema: Schema,
    path: PathBuf,
}

impl Tantivy {
    /// Opens the index; makes it unless it is there.
    ///
    /// # Errors
    /// If tantivy fails.
    pub fn open(events: u64, results: &mut Results) -> anyhow::Result<Tantivy> {
        let path = bench_data()?.join(format!("tantivy-{events}"));
        if !path.exists() {
            load(&path, events, results)?;
        }
        let index = Index::open_in_dir(&path)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Tantivy { reader, schema: index.schema(), path })
    }

    fn term(&self, column: Column, value: &str) -> anyhow::Result<Term> {
        let field = self.schema.get_field(column.key())?;
        Ok(match column {
            Column::Status => Term::from_field_i64(field, value.parse()?),
            _ => Term::from_field_text(field, value),
        })
    }

    fn filter(&self, query: &Query) -> anyhow::Result<Box<dyn tantivy::query::Query>> {
        let mut parts: Vec<(Occur, Box<dyn tantivy::query::Query>)> = vec![(Occur::Must, Box::new(AllQuery))];
        for test in &query.tests {
            parts.push(match test {
                Test::Is(column, value) => (Occur::Must, self.exact(*column, value)?),
                Test::IsNot(column, value) => (Occur::MustNot, self.exact(*column, value)?),
                Test::Begins(column, value) => (Occur::Must, self.regex(*column, &format!("{value}.*"))?),
                Test::Holds(column, value) => (Occur::Must, self.regex(*column, &format!(".*{value}.*"))?),
                Test::Between(from, to) => {
                    let field = self.schema.get_field("time_us")?;
                    let range = RangeQuery::new(
                        Bound::Included(Term::from_field_i64(field, *from)),
                        Bound::Excluded(Term::from_field_i64(field, *to)),
                    );
                    (Occur::Must, Box::new(range))
                }
            });
        }
        // What every event meets costs nothing where something else narrows the search.
        if parts.iter().skip(1).any(|(occur, _)| *occur == Occur::Must) {
            parts.remove(0);
        }
        Ok(Box::new(BooleanQuery::new(parts)))
    }

    fn exact(&self, column: Column, value: &str) -> anyhow::Result<Box<dyn tantivy::query::Query>> {
        Ok(Box::new(TermQuery::new(self.term(column, value)?, IndexRecordOption::Basic)))
    }

    fn regex(&self, column: Column, pattern: &str) -> anyhow::Result<Box<dyn tantivy::query::Query>> {
        Ok(Box::new(RegexQuery::from_pattern(pattern, self.schema.get_field(column.key())?)?))
    }
}

struct Fields {
    texts: [Field; 14],
    status: Field,
    time: Field,
}

fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let mut searched = |name: &str| builder.add_text_field(name, STRING | STORED);
    let searched = [
        "id",
        "user_id",
        "username",
        "email",
        "organization",
        "ip",
        "resource_type",
        "resource_id",
        "resource_target",
        "action",
        "request_id",
    ]
    .map(&mut searched);
    let stored = ["user_agent", "diff", "additional_fields"].map(|name| builder.add_text_field(name, STORED));
    let mut texts = [searched[0]; 14];
    texts[..11].copy_from_slice(&searched);
    texts[11..].copy_from_slice(&stored);
    let number = NumericOptions::default().set_stored().set_indexed();
    let status = builder.add_i64_field("status_code", number);
    let time = builder.add_i64_field("time_us", FAST | STORED);
    (builder.build(), Fields { texts, status, time })
}

fn load(path: &Path, events: u64, results: &mut Results) -> anyhow::Result<()> {
    println!("loading {events} events into tantivy");
    let (started, cpu) = (Instant::now(), own_cpu_seconds());
    let unfinished = path.with_extension("part");
    drop(std::fs::remove_dir_all(&unfinished));
    std::fs::create_dir_all(&unfinished)?;
    let (schema, fields) = schema();
    let settings = IndexSettings {
        docstore_compression: Compressor::Zstd(ZstdCompressor::default()),
        docstore_blocksize: DOCUMENT_BLOCK_BYTES,
        ..IndexSettings::default()
    };
    let index = Index::builder().schema(schema).settings(settings).create_in_dir(&unfinished)?;
    let mut writer = index.writer_with_num_threads::<TantivyDocument>(2, WRITER_BYTES)?;
    let mut generator = Generator::new(SEED);
    let mut line = String::new();
    for _ in 0..events {
        line.clear();
        generator.push_event(&mut line);
        let row = Row::read(&line)?;
        let mut document = TantivyDocument::new();
        let values = [
            &row.id,
            &row.user_id,
            &row.username,
            &row.email,
            &row.organization,
            &row.ip,
            &row.resource_type,
            &row.resource_id,
            &row.resource_target,
            &row.action,
            &row.request_id,
            &row.user_agent,
            &row.diff,
            &row.additional_fields,
        ];
        for (field, value) in fields.texts.iter().zip(values) {
            document.add_text(*field, value);
        }
        document.add_i64(fields.status, row.status_code.into());
        document.add_i64(fields.time, row.time_us);
        writer.add_document(document)?;
    }
    writer.commit()?;
    writer.wait_merging_threads()?;
    std::fs::rename(unfinished, path)?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), (own_cpu_seconds() - cpu) * 1e6 / events as f64);
    println!("loaded in {seconds:.0} s, {cpu:.1} us of CPU an event with making it");
    results.put("load", &events.to_string(), "tantivy", &[("seconds", seconds), ("cpu_us_per_event", cpu)]);
    Ok(())
}

impl Peer for Tantivy {
    fn name(&self) -> &'static str {
        "tantivy"
    }

    fn answer(&mut self, query: &Query) -> anyhow::Result<Answer> {
        let searcher = self.reader.searcher();
        let offset = usize::try_from(query.offset)?;
        let newest =
            TopDocs::with_limit(25).and_offset(offset).order_by_fast_field::<i64>("time_us", Order::Desc);
        let (count, found) = searcher.search(&*self.filter(query)?, &(Count, newest))?;
        let (mut times_us, mut bytes) = (Vec::new(), 0);
        for (time, address) in found {
            times_us.push(time.context("every event has a time")?);
            let document: TantivyDocument = searcher.doc(address)?;
            bytes +=
                document.field_values().map(|(_, value)| value.as_str().map_or(8, str::len)).sum::<usize>();
        }
        std::hint::black_box(bytes);
        Ok(Answer { count: count as u64, times_us })
    }

    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        Ok(own_cpu_seconds())
    }

    fn is_inside(&self) -> bool {
        true
    }

    fn disk_bytes(&mut self) -> anyhow::Result<u64> {
        Ok(disk_bytes(&self.path))
    }
}
