//! One event in a line: who did what, from where, with what outcome.

use annals_engine::FoundEvent;
use annals_model::audit_log::{PersonalActor, PlainActor, StoredEvent, outcome};
use annals_model::record::Group;
use jiff::civil::Date;

use super::client_name::ClientName;
use super::format;
use super::zone::Zone;

/// Changed fields that a line names.
const FIELDS_SHOWN_MAX: usize = 3;

/// One line of the list.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) day: Date,
    pub(super) clock: String,
    pub(super) datetime: String,
    pub(super) avatar: Avatar,
    pub(super) sentence: Sentence,
    pub(super) fields: String,
    pub(super) build_reason: String,
    pub(super) ip: String,
    pub(super) client: String,
    pub(super) user_agent: String,
    pub(super) organization: String,
    pub(super) outcome: &'static str,
    pub(super) status_code: u16,
    /// The event page shows its detail below.
    pub(super) is_open: bool,
}

/// The picture of an actor: initials or an icon, in a shape of their own for each kind.
#[derive(Debug)]
pub(super) struct Avatar {
    /// Name of the kind, and of its CSS class.
    pub(super) kind: &'static str,
    pub(super) tint: u32,
    pub(super) initials: String,
    pub(super) icon: &'static str,
    pub(super) title: String,
}

/// The sentence in pieces.
#[derive(Debug)]
pub(super) struct Sentence {
    pub(super) pieces: Vec<Piece>,
    pub(super) target: String,
    /// Address of the resource, or empty.
    pub(super) link: String,
    pub(super) is_deleted: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Name(String),
    Target,
}

impl Sentence {
    /// The sentence as plain text.
    pub(super) fn plain(&self) -> String {
        let words = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) | Piece::Name(text) => text.as_str(),
            Piece::Target => self.target.as_str(),
        });
        words.collect()
    }
}

/// What an actor is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Actor {
    /// Someone with a name, or an id at least.
    Named(String),
    /// Someone who was named and has been erased.
    Erased,
    /// Coder says that it acted by itself.
    CoderAutomatically,
    /// Annals, or the system that sent the event.
    System(&'static str),
    /// Nobody who was signed in.
    Unauthenticated,
}

impl Actor {
    pub(super) fn of(event: &StoredEvent<'_>) -> Actor {
        let is_erased = event.erased.contains(&Group::Who);
        if event.additional("automatic_actor").is_some_and(|actor| actor.eq_ignore_ascii_case("coder")) {
            return Actor::CoderAutomatically;
        }
        if let Some(actor) = named(event.body.user.as_ref(), &event.who.user, is_erased) {
            return actor;
        }
        match event.body.actor_type.as_str() {
            // A failed log-in is recorded by the system, but tried by someone.
            "system" if event.body.action.as_str() != "login" => {
                Actor::System(if event.body.source.as_str() == "annals" { "Annals" } else { "The system" })
            }
            "user" | "service" if is_erased => Actor::Erased,
            _ => Actor::Unauthenticated,
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Actor::Named(name) => name,
            Actor::Erased => "Erased person",
            Actor::CoderAutomatically => "Coder",
            Actor::System(name) => name,
            Actor::Unauthenticated => "Unauthenticated user",
        }
    }

    fn avatar(&self, actor_type: &str) -> Avatar {
        let plain = |kind, icon, title: &str| Avatar {
            kind,
            tint: 0,
            initials: String::new(),
            icon,
            title: title.to_owned(),
        };
        match self {
            Actor::CoderAutomatically => plain("system", "gear", "Coder, automatic"),
            Actor::System(name) => plain("system", "gear", &format!("{name}, automatic")),
            Actor::Unauthenticated => plain("anonymous", "who", "Unauthenticated"),
            Actor::Erased => plain("person", "who", "Erased"),
            Actor::Named(name) => {
                let (kind, title) = match actor_type {
                    "service" => ("service", format!("{name}, service")),
                    "system" => ("service", format!("{name}, automatic")),
                    _ => ("person", name.clone()),
                };
                let initials = format::initials(name);
                let icon = if initials.is_empty() { "who" } else { "" };
                Avatar { kind, tint: format::tint(name), initials, icon, title }
            }
        }
    }
}

/// Someone's log-in name, or what else is known of them.
pub(super) fn named(
    plain: Option<&PlainActor<'_>>,
    personal: &PersonalActor<'_>,
    is_erased: bool,
) -> Option<Actor> {
    let id = plain.map_or("", |plain| plain.id.as_str());
    let names = [personal.username.as_str(), personal.name.as_str(), personal.email.as_str()];
    match names.into_iter().find(|name| !name.is_empty()) {
        Some(name) => Some(Actor::Named(name.to_owned())),
        None if !id.is_empty() && is_erased => Some(Actor::Erased),
        None if !id.is_empty() => Some(Actor::Named(id.to_owned())),
        None => None,
    }
}

impl Row {
    pub(super) fn new(found: &FoundEvent<'_>, zone: &Zone) -> Row {
        let (event, added) = (found.event, &found.added);
        let body = &event.body;
        let actor = Actor::of(event);
        let is_erased = event.erased.contains(&Group::Who);
        let impersonator = named(body.impersonator.as_ref(), &event.who.impersonator, is_erased);
        let on_behalf_of = named(body.on_behalf_of.as_ref(), &event.who.on_behalf_of, is_erased);
        let avatar = impersonator.as_ref().unwrap_or(&actor).avatar(body.actor_type.as_str());

        let organization = body.organization.as_ref().map(|organization| {
            let names = [&organization.name, &organization.display_name, &organization.id];
            names.map(|name| name.as_str()).into_iter().find(|name| !name.is_empty()).unwrap_or_default()
        });
        let is_web = ["http://", "https://"].iter().any(|scheme| added.resource_link.starts_with(scheme));
        let user_agent = event.origin.user_agent.as_str();
        Row {
            id: event.id.to_string(),
            day: zone.at(event.time).date(),
            clock: zone.at(event.time).strftime("%H:%M:%S").to_string(),
            datetime: event.time.to_string(),
            avatar,
            sentence: Sentence {
                pieces: {
                    let mut pieces =
                        pieces(&added.description, &actor, impersonator.as_ref(), on_behalf_of.as_ref());
                    // Whose name was tried is what a reader of failed log-ins looks for.
                    let is_attempt = actor == Actor::Unauthenticated && body.action.as_str() == "login";
                    if is_attempt && !event.target.is_empty() && !pieces.contains(&Piece::Target) {
                        pieces.extend([Piece::Text(" as ".to_owned()), Piece::Target]);
                    }
                    pieces
                },
                target: target(event),
                link: if is_web { added.resource_link.clone() } else { String::new() },
                is_deleted: added.is_deleted,
            },
            fields: fields(event),
            build_reason: body.build_reason.as_str().to_owned(),
            ip: event.origin.ip.as_str().to_owned(),
            client: ClientName::read(user_agent).short(),
            user_agent: user_agent.to_owned(),
            organization: organization.unwrap_or_default().to_owned(),
            outcome: outcome(body.status_code),
            status_code: body.status_code,
            is_open: false,
        }
    }
}

fn target(event: &StoredEvent<'_>) -> String {
    match (&*event.target, event.erased.contains(&Group::Target)) {
        ("", true) => "(erased)".to_owned(),
        ("", false) => event.body.resource_id.as_str().to_owned(),
        (target, _) => target.to_owned(),
    }
}

/// Puts names in the place of `{user}` and `{target}`.
fn pieces(
    description: &str,
    actor: &Actor,
    impersonator: Option<&Actor>,
    on_behalf_of: Option<&Actor>,
) -> Vec<Piece> {
    let text = |text: &str| Piece::Text(text.to_owned());
    let mut who: Vec<Piece> = Vec::new();
    if let Some(impersonator) = impersonator {
        who.extend([Piece::Name(impersonator.name().to_owned()), text(", acting as ")]);
    }
    who.push(Piece::Name(actor.name().to_owned()));
    if let Some(on_behalf_of) = on_behalf_of {
        who.extend([text(", on behalf of "), Piece::Name(on_behalf_of.name().to_owned())]);
    }
    if impersonator.is_some() || on_behalf_of.is_some() {
        who.push(text(","));
    }
    if *actor == Actor::CoderAutomatically {
        who.push(text(" automatically"));
    }

    let mut pieces = Vec::new();
    let mut rest = description;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            pieces.push(text(before));
        }
        if let Some(after) = from.strip_prefix("{user}") {
            pieces.append(&mut who);
            rest = after;
        } else if let Some(after) = from.strip_prefix("{target}") {
            pieces.push(Piece::Target);
            rest = after;
        } else {
            pieces.push(text("{"));
            rest = &from[1..];
        }
    }
    if !rest.is_empty() {
        pieces.push(text(rest));
    }
    pieces
}

fn fields(event: &StoredEvent<'_>) -> String {
    let names: Vec<&str> =
        event.changes.iter().take(FIELDS_SHOWN_MAX).map(|change| change.field.as_ref()).collect();
    let more = event.changes.len() - names.len();
    let names = names.join(", ");
    if more > 0 { format!("{names}, +{more}") } else { names }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        description: &str,
        actor: &Actor,
        impersonator: Option<&Actor>,
        behalf: Option<&Actor>,
        expect: &str,
    ) {
        let pieces = pieces(description, actor, impersonator, behalf);
        let sentence =
            Sentence { pieces, target: "<web>".to_owned(), link: String::new(), is_deleted: false };
        assert_eq!(sentence.plain(), expect);
    }

    #[test]
    fn sentences_name_everyone() {
        let person = Actor::Named("demo-ops".to_owned());
        let other = Actor::Named("demo-admin".to_owned());
        check("{user} updated template {target}", &person, None, None, "demo-ops updated template <web>");
        check("{user} logged in", &Actor::Unauthenticated, None, None, "Unauthenticated user logged in");
        check(
            "{user} stopped {target}",
            &Actor::CoderAutomatically,
            None,
            None,
            "Coder automatically stopped <web>",
        );
        check(
            "{user} opened {target}",
            &other,
            Some(&person),
            None,
            "demo-ops, acting as demo-admin, opened <web>",
        );
        check(
            "{user} opened {target}",
            &person,
            None,
            Some(&other),
            "demo-ops, on behalf of demo-admin, opened <web>",
        );
        check("{user} set {odd} to {target}", &person, None, None, "demo-ops set {odd} to <web>");
        check("nobody { did {user}", &person, None, None, "nobody { did demo-ops");
    }

    #[test]
    fn a_name_is_not_read_as_a_placeholder() {
        let odd = Actor::Named("{target}".to_owned());
        check("{user} left", &odd, None, None, "{target} left");
    }
}
