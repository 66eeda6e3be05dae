//! The name that events keep is not taken from the struct, which may be renamed.

use annals_model::Auditable;

#[derive(Auditable)]
struct PurchaseOrder {
    #[audit(track)]
    amount: u64,
}

fn main() {}
