//! Exported files, read back: whole, bounded while they are made, and NULL where an event lacks something.

use std::fmt::Write as _;

use annals_segment::{EXPORT_COLUMNS, EXPORT_GROUP_BYTES, EXPORT_GROUP_ROWS, ExportRow, ParquetExport};
use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use uuid::Uuid;

/// Reads a file as its rows.
fn read(bytes: Vec<u8>) -> (Vec<i64>, Vec<Row>) {
    let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
    let groups = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    (groups, reader.get_row_iter(None).unwrap().map(Result::unwrap).collect())
}

fn field<'r>(row: &'r Row, name: &str) -> &'r Field {
    row.get_column_iter().find(|(column, _)| *column == name).unwrap().1
}

fn text(row: &Row, name: &str) -> String {
    match field(row, name) {
        Field::Str(text) => text.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn a_file_without_events_is_whole() {
    let mut file = ParquetExport::new().unwrap();
    let mut bytes = file.take_finished().unwrap();
    bytes.extend(file.finish().unwrap());
    let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
    assert_eq!((reader.num_row_groups(), reader.metadata().file_metadata().num_rows()), (0, 0));
    let schema = reader.metadata().file_metadata().schema();
    let names: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, EXPORT_COLUMNS);
}

#[test]
fn every_column_comes_back_and_what_is_absent_is_null() {
    let id = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    let full = ExportRow {
        seq: 7,
        time_us: 1_700_000_000_123_456,
        received_us: -1,
        id,
        status_code: 403,
        source_seq: Some(9),
        is_deleted: true,
        action: "action é",
        resource_type: "resource_type 🦀",
        resource_id: "resource_id \u{0} nul",
        resource_target: "resource_target \u{202e}rtl",
        outcome: "outcome",
        actor_type: "actor_type",
        user_id: "user_id",
        username: "username",
        email: "email",
        organization_id: "organization_id",
        organization: "organization",
        ip: "ip",
        user_agent: "user_agent \"quoted\"\r\n",
        build_reason: "build_reason",
        request_id: "request_id",
        source: "source",
        description: "description",
        diff: "diff",
        additional_fields: "additional_fields",
        event: "event",
    };
    let sparse = ExportRow { diff: "{}", additional_fields: "{}", event: "{}", ..ExportRow::default() };
    let beyond = ExportRow { source_seq: Some(u64::MAX), ..full };
    let mut file = ParquetExport::new().unwrap();
    for row in [full, sparse, beyond] {
        file.push(&row).unwrap();
    }
    assert!(file.push(&ExportRow { seq: u64::MAX, ..full }).is_err());
    let (groups, rows) = read(file.finish().unwrap());
    assert_eq!(groups, [3]);
    for name in &EXPORT_COLUMNS[7..] {
        assert!(text(&rows[0], name).starts_with(name), "{name}");
    }
    assert_eq!(text(&rows[0], "resource_id"), full.resource_id);
    assert_eq!(text(&rows[0], "user_agent"), full.user_agent);
    assert_eq!(*field(&rows[0], "seq"), Field::Long(7));
    assert_eq!(*field(&rows[0], "time"), Field::TimestampMicros(full.time_us));
    assert_eq!(*field(&rows[0], "received"), Field::TimestampMicros(-1));
    let Field::Bytes(bytes) = field(&rows[0], "id") else { panic!("{:?}", field(&rows[0], "id")) };
    assert_eq!(bytes.data(), id.as_bytes());
    assert_eq!(*field(&rows[0], "status_code"), Field::Int(403));
    assert_eq!(*field(&rows[0], "source_seq"), Field::Long(9));
    assert_eq!(*field(&rows[0], "is_deleted"), Field::Bool(true));
    for name in EXPORT_COLUMNS {
        let is_null = *field(&rows[1], name) == Field::Null;
        let is_always_there =
            ["seq", "time", "received", "id", "is_deleted", "diff", "additional_fields", "event"];
        assert_eq!(is_null, !is_always_there.contains(&name), "{name}");
    }
    assert_eq!(*field(&rows[2], "source_seq"), Field::Null);
}

#[test]
fn a_row_group_goes_out_when_it_has_its_rows() {
    let mut file = ParquetExport::new().unwrap();
    let (mut bytes, mut pieces) = (Vec::new(), 0);
    let count = EXPORT_GROUP_ROWS as u64 + 1_500;
    for seq in 0..count {
        let target = format!("target {}", seq % 1_000);
        let event = format!("{{\"seq\":{seq}}}");
        let user = if seq % 3 == 0 { "" } else { "Demo" };
        let row = ExportRow {
            seq,
            id: Uuid::from_u128(u128::from(seq)),
            resource_target: &target,
            username: user,
            event: &event,
            ..ExportRow::default()
        };
        file.push(&row).unwrap();
        let piece = file.take_finished().unwrap();
        pieces += usize::from(!piece.is_empty());
        bytes.extend(piece);
    }
    assert_eq!(pieces, 2, "the magic word, and one group");
    bytes.extend(file.finish().unwrap());
    let (groups, rows) = read(bytes);
    assert_eq!(groups, [EXPORT_GROUP_ROWS as i64, 1_500]);
    assert_eq!(rows.len() as u64, count);
    for (seq, row) in rows.iter().enumerate() {
        assert_eq!(*field(row, "seq"), Field::Long(seq as i64));
        assert_eq!(text(row, "resource_target"), format!("target {}", seq % 1_000));
        assert_eq!(text(row, "event"), format!("{{\"seq\":{seq}}}"));
        assert_eq!(*field(row, "username") == Field::Null, seq % 3 == 0);
    }
}

/// Texts that cannot be compressed, as a producer could send them.
#[test]
fn a_row_group_goes_out_when_it_has_its_bytes() {
    let mut state = 1_u64;
    let mut random = || {
        let mut text = String::new();
        while text.len() < 200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(text, "{}", char::from_u32(0x4e00 + (state >> 50) as u32 % 0x4000).unwrap()).unwrap();
        }
        text
    };
    let mut file = ParquetExport::new().unwrap();
    let (mut bytes, mut largest) = (Vec::new(), 0);
    for seq in 0..200 {
        let text = random();
        let row = ExportRow {
            seq,
            user_agent: &text,
            additional_fields: &text,
            event: &text,
            ..ExportRow::default()
        };
        file.push(&row).unwrap();
        let piece = file.take_finished().unwrap();
        largest = largest.max(piece.len());
        bytes.extend(piece);
    }
    bytes.extend(file.finish().unwrap());
    assert!(largest > EXPORT_GROUP_BYTES / 2 && largest < EXPORT_GROUP_BYTES * 3 / 2, "{largest} bytes");
    let (groups, rows) = read(bytes);
    assert!(groups.len() > 3, "{groups:?}");
    assert_eq!(rows.len(), 200);
}
