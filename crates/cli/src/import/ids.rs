//! Ids of records that bring none: the same record gets the same id again, so that nothing is recorded twice.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

/// Records without an identity in one file. Each costs about 32 bytes of memory, so 256 MiB.
const COUNTED_MAX: usize = 8 * 1024 * 1024;

/// What tells a record from all others.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The name of the mapping, so that equal ids of two systems differ.
    pub(super) of: String,
    /// What the record says itself.
    pub(super) own: Option<String>,
    /// Which event of the record it is, from 0, if there are several.
    pub(super) index: Option<usize>,
    /// The record to the letter; what counts where it says nothing.
    pub(super) record: String,
}

/// Counts equal records of a file.
#[derive(Debug, Default)]
pub(super) struct Equals(HashMap<u64, u32>);

impl Equals {
    /// The id for a record. One without an identity is counted, so this is called once for each.
    ///
    /// # Errors
    /// If the file has more of those than can be counted.
    pub(super) fn id_of(&mut self, identity: &Identity) -> Result<Uuid, String> {
        let index = identity.index.map(|index| index.to_string()).unwrap_or_default();
        match &identity.own {
            Some(own) => match Uuid::try_parse(own) {
                Ok(id) if index.is_empty() && !id.is_nil() => Ok(id),
                _ => Ok(made_id(&[&identity.of, "id", own, &index])),
            },
            None => {
                let hash = made_id(&[&identity.of, "record", &identity.record]);
                let (key, _) = hash.as_u64_pair();
                if self.0.len() >= COUNTED_MAX && !self.0.contains_key(&key) {
                    return Err(format!(
                        "more than {COUNTED_MAX} records without an identity in one file; split the file, or name \
                         what identifies a record in the mapping's `identity`"
                    ));
                }
                let count = self.0.entry(key).or_insert(0);
                let id = made_id(&[&identity.of, "record", &identity.record, &count.to_string()]);
                *count += 1;
                Ok(id)
            }
        }
    }
}

/// A UUID of version 8 (RFC 9562) from the SHA-256 of texts, each with its length before it.
fn made_id(texts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(own: Option<&str>, index: Option<usize>, record: &str) -> Identity {
        Identity { of: "okta".to_owned(), own: own.map(str::to_owned), index, record: record.to_owned() }
    }

    #[test]
    fn a_uuid_is_the_id_and_anything_else_makes_one() {
        let uuid = "0b8b6d4e-0000-4000-8000-000000000001";
        let id = |own: Option<&str>, index, record: &str| {
            Equals::default().id_of(&identity(own, index, record)).unwrap().to_string()
        };
        assert_eq!(id(Some(uuid), None, "{}"), uuid);
        assert_ne!(id(Some(uuid), Some(0), "{}"), uuid);
        assert_ne!(id(Some(uuid), Some(0), "{}"), id(Some(uuid), Some(1), "{}"));
        // Fixed for ever: another id would import everything again.
        assert_eq!(id(Some("abc"), None, "{}"), "443fa95f-a167-808a-aaf8-873368c65264");
        assert_eq!(id(Some("abc"), None, "{}"), id(Some("abc"), None, "{\"other\":1}"));
        assert_eq!(id(None, None, "{}"), "7f6ed88b-aa4b-8711-bd7d-08931b8113ee");
    }

    #[test]
    fn equal_records_are_counted_within_a_file() {
        let mut file = Equals::default();
        let ids: Vec<Uuid> =
            ["a", "a", "b"].iter().map(|text| file.id_of(&identity(None, None, text)).unwrap()).collect();
        let mut again = Equals::default();
        let repeated: Vec<Uuid> =
            ["b", "a", "a"].iter().map(|text| again.id_of(&identity(None, None, text)).unwrap()).collect();
        assert_eq!([ids[2], ids[0], ids[1]], repeated[..]);
        assert_ne!(ids[0], ids[1]);
        assert!(ids.iter().all(|id| id.get_version_num() == 8));
    }
}
