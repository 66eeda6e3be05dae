//! Segment objects in a directory and in S3.

use std::path::Path;
use std::time::{Duration, Instant};

use annals_store::{ObjectError, Objects, ObjectsLocation};
use annals_testparts::{S3, VersionedS3};

/// More than one part of a multipart upload, and of an odd length.
const LARGE_BYTES: usize = 20 * 1024 * 1024 + 7;

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

fn local(dir: &Path) -> Objects {
    Objects::open(&ObjectsLocation::Directory(dir.join("segments")), &dir.join("cache")).unwrap()
}

fn remote(s3: &S3, dir: &Path) -> Objects {
    let location = format!("{}/some/prefix", s3.url()).parse().unwrap();
    Objects::open_with_settings(&location, &dir.join("cache"), &s3.env()).unwrap()
}

/// What every place does alike.
fn behaves(objects: &Objects) {
    assert!(objects.list().unwrap().is_empty());
    assert!(matches!(objects.read("a.parquet", 0..1), Err(ObjectError::Missing { .. })));
    assert!(matches!(objects.read_all("a.parquet"), Err(ObjectError::Missing { .. })));

    let small = content(1_000);
    objects.put("a.parquet", small.clone().into()).unwrap();
    assert_eq!(objects.read_all("a.parquet").unwrap(), small);
    assert_eq!(objects.read("a.parquet", 10..20).unwrap(), small[10..20]);
    assert_eq!(objects.read("a.parquet", 20..20).unwrap(), small[20..20]);
    let asked = [990..1_000, 5..5, 0..1, 500..600];
    let parts = objects.read_ranges("a.parquet", &asked).unwrap();
    for (range, part) in asked.iter().zip(&parts) {
        assert_eq!(part, &small[range.start as usize..range.end as usize]);
    }
    assert!(objects.read("a.parquet", 990..1_001).is_err(), "beyond the end");

    let other = content(2_000);
    objects.put("a.parquet", other.clone().into()).unwrap();
    assert_eq!(objects.read_all("a.parquet").unwrap(), other, "a repetition overwrites");

    let large = content(LARGE_BYTES);
    objects.put("large.parquet", large.clone().into()).unwrap();
    assert_eq!(objects.read_all("large.parquet").unwrap(), large);
    let listed = objects.list().unwrap();
    let sizes: Vec<(&str, u64)> = listed.iter().map(|object| (object.name.as_str(), object.bytes)).collect();
    assert_eq!(sizes, [("a.parquet", 2_000), ("large.parquet", LARGE_BYTES as u64)]);
    assert!(listed.iter().all(|object| object.modified.elapsed().unwrap() < Duration::from_secs(600)));

    let end = LARGE_BYTES as u64;
    let object = objects.open_object("large.parquet", end, 1_000..5_000_000).unwrap();
    let resident = object.resident();
    assert_eq!(resident.as_ref(), &large[1_000..5_000_000]);
    assert_eq!(object.clone().read(end - 8..end).unwrap(), large[LARGE_BYTES - 8..]);
    let parts = object.read_ranges(&[end - 100..end, 0..50, 7_000_000..7_000_100]).unwrap();
    assert_eq!(parts[0], large[LARGE_BYTES - 100..]);
    assert_eq!(parts[1], large[..50]);
    assert_eq!(parts[2], large[7_000_000..7_000_100]);
    assert!(object.read(end - 8..end + 1).is_err());
    assert!(matches!(objects.open_object("none", 5, 0..1), Err(ObjectError::Missing { .. })));

    for name in ["", ".", "..", "/a", "a//b", "../a", "a/b", "a/", "a\0", "a.parquet.unfinished"] {
        assert!(
            matches!(objects.put(name, small.clone().into()), Err(ObjectError::BadName { .. })),
            "{name}"
        );
    }
    objects.delete("large.parquet").unwrap();
    objects.delete("large.parquet").unwrap();
    assert_eq!(objects.list().unwrap().len(), 1);
    assert_eq!(resident.as_ref(), &large[1_000..5_000_000], "what is open stays");
    let stats = objects.stats();
    assert!(stats.requests > 15 && stats.errors > 2, "{stats:?}");
    assert_eq!(stats.written_bytes, 3_000 + LARGE_BYTES as u64);
    assert!(stats.read_bytes > LARGE_BYTES as u64, "{stats:?}");
}

#[test]
fn a_directory_keeps_objects() {
    let dir = tempfile::tempdir().unwrap();
    behaves(&local(dir.path()));
}

#[test]
fn a_bucket_keeps_objects() {
    let (s3, dir) = (S3::start(), tempfile::tempdir().unwrap());
    behaves(&remote(&s3, dir.path()));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_local_objects() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    local(dir.path()).put("a", content(10).into()).unwrap();
    let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("segments"), mode("segments/a")), (0o700, 0o600));
}

#[cfg(unix)]
#[test]
fn what_a_stopped_process_left_is_listed_and_overwritten_or_deleted() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let objects = local(dir.path());
    let names = || objects.list().unwrap().into_iter().map(|object| object.name).collect::<Vec<_>>();
    let segments = dir.path().join("segments");
    std::fs::write(segments.join("a.unfinished"), content(100)).unwrap();
    std::fs::write(segments.join("b#1"), "of an earlier version").unwrap();
    std::fs::create_dir(segments.join("folder")).unwrap();
    std::fs::write(segments.join("folder/c"), "somebody else's").unwrap();
    assert_eq!(names(), ["a.unfinished", "b#1"]);
    objects.put("a", content(10).into()).unwrap();
    assert_eq!(names(), ["a", "b#1"]);
    assert_eq!(objects.read_all("a").unwrap(), content(10));
    std::fs::write(segments.join("a.unfinished"), "").unwrap();
    objects.delete("a.unfinished").unwrap();
    objects.delete("b#1").unwrap();
    assert_eq!(names(), ["a"]);
    // Private from the first byte on, so also what is left of it.
    std::fs::create_dir(segments.join("d")).unwrap();
    assert!(matches!(objects.put("d", content(10).into()), Err(ObjectError::File { .. })));
    assert_eq!(names(), ["a"], "what failed leaves nothing");
    let mode = std::fs::metadata(segments.join("a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_list_shows_neither_neighbours_nor_what_stands_deeper() {
    let (s3, dir) = (S3::start(), tempfile::tempdir().unwrap());
    let place = |prefix: &str| {
        let location = format!("{}/{prefix}", s3.url()).parse().unwrap();
        Objects::open_with_settings(&location, dir.path(), &s3.env()).unwrap()
    };
    for prefix in ["", "log", "log/deeper", "log2", "other/log"] {
        place(prefix).put(&format!("in-{}", prefix.replace('/', "-")), content(5).into()).unwrap();
    }
    for (prefix, name) in [("", "in-"), ("log", "in-log"), ("log2", "in-log2"), ("other/log", "in-other-log")]
    {
        let names: Vec<_> = place(prefix).list().unwrap().into_iter().map(|object| object.name).collect();
        assert_eq!(names, [name], "{prefix}");
    }
    assert!(place("other").list().unwrap().is_empty());
}

#[test]
fn a_local_object_of_another_size_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let objects = local(dir.path());
    objects.put("a", content(10).into()).unwrap();
    let error = objects.open_object("a", 11, 0..5).unwrap_err();
    assert!(matches!(error, ObjectError::WrongSize { expected: 11, actual: 10, .. }), "{error}");
    assert!(objects.open_object("a", 10, 5..11).is_err(), "the resident range must lie in the object");
    assert_eq!(objects.refetch("a", 10, 0..5).unwrap().resident(), content(5));
    let error = objects.read("a", 5..11).unwrap_err();
    assert!(matches!(error, ObjectError::WrongSize { expected: 11, actual: 10, .. }), "{error}");
}

#[test]
fn the_resident_range_is_fetched_once_and_again_after_it_was_removed_or_cut() {
    let (s3, dir) = (S3::start(), tempfile::tempdir().unwrap());
    let objects = remote(&s3, dir.path());
    let bytes = content(100_000);
    objects.put("a.parquet", bytes.clone().into()).unwrap();
    let open = || objects.open_object("a.parquet", 100_000, 50_000..90_000).unwrap();
    let read_bytes = || objects.stats().read_bytes;
    let first = open();
    assert_eq!((first.resident().as_ref(), read_bytes()), (&bytes[50_000..90_000], 40_000));
    assert_eq!((open().resident(), read_bytes()), (first.resident(), 40_000));
    // Another start of the process finds it too.
    let again = remote(&s3, dir.path());
    again.open_object("a.parquet", 100_000, 50_000..90_000).unwrap();
    assert_eq!(again.stats().requests, 0);

    let cached = || -> Vec<_> {
        std::fs::read_dir(dir.path().join("cache")).unwrap().map(|file| file.unwrap().path()).collect()
    };
    let file = cached().pop().unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "cut").unwrap();
    assert_eq!((open().resident(), read_bytes()), (first.resident(), 80_000), "a cut file is fetched again");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, content(40_000)).unwrap();
    assert_ne!(open().resident(), first.resident(), "of the right length, but damaged");
    let healed = objects.refetch("a.parquet", 100_000, 50_000..90_000).unwrap();
    assert_eq!((healed.resident(), read_bytes()), (first.resident(), 120_000));
    assert_eq!(
        (open().resident(), read_bytes()),
        (first.resident(), 120_000),
        "for those who come later too"
    );
    objects.remove_cached("a").unwrap();
    assert_eq!(cached().len(), 1, "another object's");
    let mut left = file.into_os_string();
    left.push(".unfinished");
    std::fs::write(left, "left by a stopped process").unwrap();
    objects.remove_cached("a.parquet").unwrap();
    assert!(cached().is_empty());
    assert_eq!(first.resident().as_ref(), &bytes[50_000..90_000], "what is mapped stays");
    open();
    objects.put("a.parquet", bytes.into()).unwrap();
    assert!(cached().is_empty(), "a new content makes the old one stale");
    open();
    objects.delete("a.parquet").unwrap();
    assert!(cached().is_empty());
}

#[test]
fn a_wrong_key_and_a_missing_bucket_are_named() {
    let (s3, dir) = (S3::start(), tempfile::tempdir().unwrap());
    let mut wrong = s3.env();
    wrong
        .iter_mut()
        .filter(|(name, _)| name == "AWS_SECRET_ACCESS_KEY")
        .for_each(|(_, value)| "wrong".clone_into(value));
    let location = s3.url().parse().unwrap();
    let objects = Objects::open_with_settings(&location, dir.path(), &wrong).unwrap();
    let denied = [
        objects.put("a", content(10).into()).unwrap_err(),
        objects.list().unwrap_err(),
        objects.read("a", 0..1).unwrap_err(),
    ];
    for error in denied {
        assert!(matches!(error, ObjectError::Denied { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("wrong\""), "{error:?}");
    }
    let nowhere = "s3://no-such-bucket".parse().unwrap();
    let objects = Objects::open_with_settings(&nowhere, dir.path(), &s3.env()).unwrap();
    // The test's server makes a bucket when it is first written to, so only reading shows that there is none.
    let error = objects.list().unwrap_err();
    assert!(matches!(error, ObjectError::Unusable { .. }), "{error:?}");
}

#[test]
fn a_place_that_is_away_is_unavailable_soon_and_works_again_when_it_is_back() {
    let (mut s3, dir) = (S3::start(), tempfile::tempdir().unwrap());
    let objects = remote(&s3, dir.path());
    objects.put("a", content(1_000).into()).unwrap();
    let object = objects.open_object("a", 1_000, 0..100).unwrap();
    s3.stop();
    let begun = Instant::now();
    let errors = std::thread::scope(|scope| {
        let put = scope.spawn(|| objects.put("b", content(10).into()).unwrap_err());
        [object.read(500..600).unwrap_err(), put.join().unwrap()]
    });
    assert!(errors.iter().all(ObjectError::is_unavailable), "{errors:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(object.resident().as_ref(), content(100), "the index needs no server");
    s3.start_again();
    assert_eq!(object.read(500..600).unwrap(), content(1_000)[500..600]);
    objects.put("b", content(10).into()).unwrap();
    assert_eq!(objects.list().unwrap().len(), 2);
}

#[test]
fn older_versions_of_objects_go() {
    let (s3, dir) = (VersionedS3::start(), tempfile::tempdir().unwrap());
    let location = format!("{}/some/prefix", s3.url()).parse().unwrap();
    let objects = Objects::open_with_settings(&location, &dir.path().join("cache"), &s3.env()).unwrap();
    let beside = format!("{}/some/prefix/deeper", s3.url()).parse().unwrap();
    let beside = Objects::open_with_settings(&beside, &dir.path().join("cache"), &s3.env()).unwrap();
    for content in ["first", "second", "third"] {
        for name in ["kept", "deleted", "foreign"] {
            objects.put(name, content.into()).unwrap();
        }
        beside.put("kept", content.into()).unwrap();
    }
    objects.delete("deleted").unwrap();
    assert_eq!(s3.versions().len(), 13, "the bucket keeps them all: {:?}", s3.versions());

    let older = objects.older_versions().unwrap();
    let of = |name: &str| older.iter().filter(|version| version.name == name).count();
    assert_eq!((of("kept"), of("deleted"), of("foreign"), older.len()), (2, 4, 2, 8), "{older:?}");
    for version in older.iter().filter(|version| version.name != "foreign") {
        objects.delete_version(version).unwrap();
        objects.delete_version(version).unwrap();
    }
    objects.delete_for_good("foreign").unwrap();
    objects.delete_for_good("foreign").unwrap();
    let left = s3.versions();
    let of = |name: &str| {
        left.iter().filter(|version| version.starts_with(&format!("some/prefix/{name} "))).count()
    };
    assert_eq!((of("kept"), of("deleted"), of("foreign"), of("deeper/kept")), (1, 0, 0, 3), "{left:?}");
    assert_eq!(objects.read_all("kept").unwrap(), "third");
    for gone in ["deleted", "foreign"] {
        assert!(matches!(objects.read_all(gone), Err(ObjectError::Missing { .. })), "{gone}");
    }
    assert_eq!(objects.older_versions().unwrap(), []);
}

/// The list of versions comes in pages of a thousand.
#[test]
fn more_versions_than_a_page_lists_are_found() {
    let (s3, dir) = (VersionedS3::start(), tempfile::tempdir().unwrap());
    let location = s3.url().parse().unwrap();
    let objects = Objects::open_with_settings(&location, &dir.path().join("cache"), &s3.env()).unwrap();
    for at in 0..1_100u32 {
        objects.put("a", at.to_string().into()).unwrap();
    }
    assert_eq!(objects.older_versions().unwrap().len(), 1_099);
    assert_eq!(objects.read_all("a").unwrap(), "1099");
}

#[test]
fn a_place_that_keeps_no_versions_has_none_to_delete() {
    let (s3, dir) = (S3::start(), tempfile::tempdir().unwrap());
    for objects in [local(dir.path()), remote(&s3, dir.path())] {
        objects.put("a", "content".into()).unwrap();
        objects.put("a", "other content".into()).unwrap();
        assert_eq!(objects.older_versions().unwrap(), []);
        assert_eq!(objects.read_all("a").unwrap(), "other content");
        objects.delete_for_good("a").unwrap();
        assert!(matches!(objects.read_all("a"), Err(ObjectError::Missing { .. })));
    }
}
