//! A field without a policy, with the rest of the struct in order.

use annals_model::Auditable;

#[derive(Auditable)]
#[audit(type = "invoice")]
struct Invoice {
    #[audit(track)]
    amount: u64,
    r#type: String,
    #[audit(personal)]
    email: String,
}

fn main() {}
