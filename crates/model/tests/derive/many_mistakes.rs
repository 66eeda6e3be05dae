//! Every mistake is reported, not only the first.

use annals_model::Auditable;

#[derive(Auditable)]
#[audit(type = "Invoice", title = "Invoice", link = "https://example.com/{id}")]
struct Invoice {
    #[audit(track, secret)]
    amount: u64,
    #[audit(trak)]
    number: String,
    #[audit(track, mask = "******")]
    card: String,
    #[audit(ignore, personal)]
    email: String,
    #[audit(secret, target)]
    password: String,
    #[audit(track, id)]
    one: u8,
    #[audit(track, id)]
    two: u8,
    #[audit(track, rename = "two")]
    three: u8,
    #[audit(track, rename = 4)]
    four: u8,
}

fn main() {}
