//! Only structs with named fields have fields to classify.

use annals_model::Auditable;

#[derive(Auditable)]
#[audit(type = "state")]
enum State {
    Draft,
    Paid,
}

#[derive(Auditable)]
#[audit(type = "amount")]
struct Amount(u64);

#[derive(Auditable)]
struct Nothing;

#[derive(Auditable)]
union Bits {
    word: u32,
    bytes: [u8; 4],
}

fn main() {}
