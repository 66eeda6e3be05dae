//! Randomness from the operating system: ids, salts and secrets.

use std::cell::RefCell;

use annals_model::id::EventId;
use annals_model::prepare::Salts;
use annals_model::time::Time;

/// Bytes drawn at once for salts: a system call a block rather than an event (112 bytes each).
const BLOCK_BYTES: usize = 64 * 1024;

struct Block {
    bytes: Vec<u8>,
    used: usize,
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block { bytes: Vec::new(), used: 0 }) };
}

/// Draws bytes straight from the system: for secrets and the log id.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Draws the salts of one event.
pub(crate) fn salts() -> Salts {
    BLOCK.with_borrow_mut(|block| {
        if block.bytes.len() < block.used + Salts::BYTES {
            block.bytes.resize(BLOCK_BYTES, 0);
            fill(&mut block.bytes);
            block.used = 0;
        }
        let used = block.used;
        block.used += Salts::BYTES;
        let slice = &mut block.bytes[used..used + Salts::BYTES];
        let salts = Salts::from_bytes((&*slice).try_into().expect("the slice has Salts::BYTES bytes"));
        // What was given out must not be found in memory later.
        slice.fill(0);
        salts
    })
}

/// Makes a version 7 UUID: the time in milliseconds, then random bits.
pub(crate) fn event_id(now: Time) -> EventId {
    let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
    let random: [u8; 10] = bytes();
    EventId::new(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system has a random generator");
}
