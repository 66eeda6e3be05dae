//! What the values of a key mean, and whether they may stand there.

use super::Parser;
use super::field::{Field, Kind};
use super::join::distinct;
use super::number::{self, Bounds};
use super::scan::{Comparison, Head, Operator};
use super::time;
use super::value::{Item, Place};
use crate::context::{ACTOR_TYPES, OUTCOMES};
use crate::display::literal;
use crate::errors::{Problem, QueryError};
use crate::limits::{HINT_VALUES_MAX, RESOURCE_ID_BYTES_MAX, STATUS_CODE_MAX};
use crate::suggest::nearest;
use crate::{Filter, Glob, GlobPart, Key, Pattern, Term, Test, fold};
use ipnet::IpNet;
use std::net::IpAddr;
use uuid::Uuid;

const ONE_VALUE_HINT: &str = "write a term for each value, with `OR` between them";

/// What values mean, and whether they are an equality.
pub(super) type Checked = (Option<Filter>, bool);

/// An error that the parser already holds.
pub(super) struct Reported;

impl<'t> Parser<'t> {
    /// Checks the values of a field. Returns what they mean and whether they are an equality; errors are reported.
    pub(super) fn check(
        &mut self,
        field: Field,
        head: &Head,
        items: &[Item<'_>],
    ) -> Result<Checked, Reported> {
        let key = field.key();
        let is_comparison = !matches!(head.operator, Operator::Colon | Operator::Equal | Operator::NotEqual);
        if let [item] = items
            && item.is_any()
            && !is_comparison
            && field.kind() != Kind::TimeEnd
        {
            return Ok((Some(Term::new(key, Test::Exists).into()), false));
        }
        match field.kind() {
            Kind::Closed | Kind::Text | Kind::Words => self.check_texts(field, head, items),
            Kind::Uuid => {
                self.check_operator(field, head)?;
                let ids = self.each(field, items, |_, item, place| read_uuid(item, place))?;
                let ids = ids.into_iter().filter(|id| !(field.ignores_nil() && id.is_nil()));
                let ids = distinct(ids);
                Ok(((!ids.is_empty()).then(|| Term::new(key, Test::Uuid(ids)).into()), true))
            }
            Kind::Address => {
                self.check_operator(field, head)?;
                let networks = self.each(field, items, |_, item, place| read_network(item, place))?;
                Ok((Some(Term::new(key, Test::Net(distinct(networks))).into()), true))
            }
            Kind::Number | Kind::Time => self.check_ordered(field, head, items),
            Kind::TimeEnd => self.check_time_end(field, head, items),
        }
    }

    fn check_texts(&mut self, field: Field, head: &Head, items: &[Item<'_>]) -> Result<Checked, Reported> {
        let is_contains = head.operator == Operator::Contains;
        if !is_contains {
            self.check_operator(field, head)?;
        }
        let patterns = self
            .each(field, items, |parser, item, place| parser.read_pattern(field, item, is_contains, place))?;
        let patterns = distinct(patterns.into_iter().flatten());
        let test = (!patterns.is_empty()).then_some(Test::AnyOf(patterns));
        Ok((test.map(|test| Term::new(field.key(), test).into()), !is_contains))
    }

    fn check_ordered(&mut self, field: Field, head: &Head, items: &[Item<'_>]) -> Result<Checked, Reported> {
        let compared = match head.operator {
            Operator::Compare(comparison) => Some(comparison),
            Operator::Contains => return self.check_operator(field, head).map(|()| (None, false)),
            Operator::Colon | Operator::Equal | Operator::NotEqual => None,
        };
        if let (Some(_), [_, second, ..]) = (compared, items) {
            let name = field.name();
            let error = second.place(name).error(&Problem::OneValue { key: name });
            self.report(error.with_hint(ONE_VALUE_HINT));
            return Err(Reported);
        }
        let now = self.context.now;
        let tests = self.each(field, items, |_, item, place| {
            let (comparison, text) = match compared {
                Some(comparison) => (Some(comparison), item.text.as_str()),
                None => comparison_at_start(&item.text),
            };
            match field.key() {
                Key::Time => time::read(text, comparison, now, place),
                key => number::read(text, comparison, bounds(key), place),
            }
        })?;
        let is_equality = tests
            .iter()
            .all(|test| matches!(test, Test::Int { at_least, at_most } if at_least.is_some() && at_least == at_most));
        let terms = tests.into_iter().map(|test| Filter::from(Term::new(field.key(), test)));
        Ok((Some(Filter::any_of(distinct(terms))), is_equality))
    }

    fn check_time_end(&mut self, field: Field, head: &Head, items: &[Item<'_>]) -> Result<Checked, Reported> {
        let name = field.name();
        match (head.operator, items) {
            (Operator::Colon | Operator::Equal, [_]) => {}
            (Operator::Colon | Operator::Equal, items) => {
                let place = items.get(1).unwrap_or(&items[0]).place(name);
                self.report(place.error(&Problem::OneValue { key: name }).with_hint(ONE_VALUE_HINT));
                return Err(Reported);
            }
            _ => {
                let problem = Problem::BadOperator { key: name, operator: spelling(head.operator) };
                let error = QueryError::new(name, head.key.start..head.value_start, &problem);
                self.report(error.with_hint("write `time` to compare, such as `time>=2026-01-31`"));
                return Err(Reported);
            }
        }
        let now = self.context.now;
        let periods = self.each(field, items, |_, item, place| time::read_period(&item.text, now, place))?;
        let test =
            periods.first().filter(|period| !(field.is_coders() && period.is_go_zero())).map(|period| {
                let (from_us, before_us) = match field {
                    Field::DateTo => (None, Some(period.end_us)),
                    Field::Until if period.is_instant => (None, Some(period.start_us)),
                    Field::Until => (None, Some(period.end_us)),
                    Field::DateFrom | Field::Since | Field::Key(_) => (Some(period.start_us), None),
                };
                Term::new(Key::Time, Test::Time { from_us, before_us }).into()
            });
        Ok((test, false))
    }

    /// Reports an operator other than equality.
    fn check_operator(&mut self, field: Field, head: &Head) -> Result<(), Reported> {
        if matches!(head.operator, Operator::Colon | Operator::Equal | Operator::NotEqual) {
            return Ok(());
        }
        let (name, operator) = (field.name(), spelling(head.operator));
        let problem = Problem::BadOperator { key: name, operator };
        let hint = match head.operator {
            Operator::Contains => format!("write `{name}:` and the whole value"),
            _ => "only `time`, `status_code` and `seq` can be compared".to_owned(),
        };
        let span = head.key.start..head.value_start;
        self.report(QueryError::new(name, span, &problem).with_hint(hint));
        Err(Reported)
    }

    /// Reads every value; reports every error.
    fn each<T>(
        &mut self,
        field: Field,
        items: &[Item<'_>],
        read: impl Fn(&mut Self, &Item<'_>, &Place) -> Result<T, QueryError>,
    ) -> Result<Vec<T>, Reported> {
        let mut values = Vec::new();
        let mut is_good = true;
        for item in items {
            let place = item.place(field.name());
            let is_text = matches!(field.kind(), Kind::Closed | Kind::Text | Kind::Words);
            let value = if item.is_empty() {
                let hint = "remove the comma, or put the whole value in quotes";
                // The place of nothing is the comma beside it.
                Err(place.error(&Problem::EmptyItem).with_hint(hint))
            } else if item.glob.is_some() && !is_text {
                Err(wildcard_error(field, item, &place))
            } else {
                read(self, item, &place)
            };
            match value {
                Ok(value) => values.push(value),
                Err(error) => {
                    self.report(error);
                    is_good = false;
                }
            }
        }
        if is_good { Ok(values) } else { Err(Reported) }
    }

    /// Reads one value of a text key; `None` is a nil UUID that means no filter.
    fn read_pattern(
        &mut self,
        field: Field,
        item: &Item<'_>,
        is_contains: bool,
        place: &Place,
    ) -> Result<Option<Pattern>, QueryError> {
        if field.kind() == Kind::Words {
            return Ok(free_word(item));
        }
        let pattern = match &item.glob {
            Some(glob) if is_contains => Pattern::Glob(glob.clone().anywhere()),
            Some(glob) => Pattern::Glob(glob.clone()),
            None if is_contains => {
                // In a pattern quotes only group.
                let text = GlobPart::Literal(item.text.replace('"', ""));
                Pattern::Glob(Glob::new([text]).anywhere())
            }
            None => match self.read_text(field, item, place)? {
                Some(text) => Pattern::Exact(text),
                None => return Ok(None),
            },
        };
        if field.kind() == Kind::Closed {
            self.check_known(field, &pattern, place)?;
        }
        Ok(Some(pattern))
    }

    fn read_text(
        &mut self,
        field: Field,
        item: &Item<'_>,
        place: &Place,
    ) -> Result<Option<String>, QueryError> {
        if field.holds_uuids()
            && let Ok(id) = Uuid::try_parse(&item.text)
        {
            let is_ignored = field.ignores_nil() && id.is_nil();
            return Ok((!is_ignored).then(|| id.hyphenated().to_string()));
        }
        if field == Field::Key(Key::ResourceId) && item.text.len() > RESOURCE_ID_BYTES_MAX {
            let (bytes, limit) = (item.text.len(), RESOURCE_ID_BYTES_MAX);
            return Err(place.error(&Problem::ValueTooLong { bytes, limit }));
        }
        if field == Field::Key(Key::Username) && item.text == "me" {
            return Ok(Some(match self.context.me {
                Some(me) => fold(me).into_owned(),
                None => {
                    let text =
                        "`me` was read as the username `me`, because the caller is not known".to_owned();
                    self.note(place.span.clone(), text);
                    "me".to_owned()
                }
            }));
        }
        Ok(Some(item.text.clone()))
    }

    /// Checks a value against the vocabulary of its key.
    fn check_known(&self, field: Field, pattern: &Pattern, place: &Place) -> Result<(), QueryError> {
        let vocabulary = self.context.vocabulary;
        let owned = |values: &'t [String]| values.iter().map(|value| fold(value)).collect::<Vec<_>>();
        let known = match field.key() {
            Key::ResourceType | Key::Action if vocabulary.open => return Ok(()),
            Key::ResourceType => owned(&vocabulary.resource_types),
            Key::Action => owned(&vocabulary.actions),
            Key::BuildReason => owned(&vocabulary.build_reasons),
            Key::Outcome => OUTCOMES.map(fold).to_vec(),
            _ => ACTOR_TYPES.map(fold).to_vec(),
        };
        if known.iter().any(|value| pattern.matches(value)) {
            return Ok(());
        }
        let key = field.name();
        let mut names: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
        if let Pattern::Exact(value) = pattern {
            let error = place.error(&Problem::UnknownValue { key, value: value.clone() });
            return Err(match nearest(value, names.iter().copied()) {
                Some(near) => error.with_replacement(literal(near)),
                None => error.with_hint(known_values_hint(key, &mut names)),
            });
        }
        let pattern = self.text[place.span.clone()].to_owned();
        let error = place.error(&Problem::NoMatch { key, pattern });
        Err(error.with_hint(known_values_hint(key, &mut names)))
    }
}

fn known_values_hint(key: &str, names: &mut [&str]) -> String {
    names.sort_unstable();
    match names.len() {
        0 => format!("no value of `{key}` is known"),
        count if count > HINT_VALUES_MAX => {
            format!(
                "known values are {} and {} more",
                names[..HINT_VALUES_MAX].join(", "),
                count - HINT_VALUES_MAX
            )
        }
        _ => format!("known values are {}", names.join(", ")),
    }
}

/// Reads a free word, in which quotes only group; `None` if it is empty.
pub(super) fn free_word(item: &Item<'_>) -> Option<Pattern> {
    if let Some(glob) = &item.glob {
        return Some(Pattern::Glob(glob.clone().anywhere()));
    }
    let text = fold(&item.raw.replace('"', "")).into_owned();
    (!text.is_empty()).then_some(Pattern::Contains(text))
}

fn read_uuid(item: &Item<'_>, place: &Place) -> Result<Uuid, QueryError> {
    Uuid::try_parse(&item.text).map_err(|_| {
        let hint = "expected 32 hexadecimal digits such as `123e4567-e89b-12d3-a456-426614174000`";
        place.error(&Problem::BadUuid(item.text.clone())).with_hint(hint)
    })
}

fn read_network(item: &Item<'_>, place: &Place) -> Result<IpNet, QueryError> {
    let network = match item.text.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address.to_canonical())),
        Err(_) => item.text.parse::<IpNet>().ok().map(|network| canonical(network).trunc()),
    };
    network.ok_or_else(|| {
        let hint =
            "expected an address such as `10.0.0.1` or `2001:db8::1`, or a network such as `10.0.0.0/8`";
        place.error(&Problem::BadAddress(item.text.clone())).with_hint(hint)
    })
}

/// Turns a network of IPv4 addresses mapped into IPv6 into the IPv4 network.
fn canonical(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(inner) if inner.prefix_len() >= 96 => match inner.addr().to_ipv4_mapped() {
            Some(address) => IpNet::new(address.into(), inner.prefix_len() - 96).unwrap_or(network),
            None => network,
        },
        _ => network,
    }
}

fn wildcard_error(field: Field, item: &Item<'_>, place: &Place) -> QueryError {
    let name = field.name();
    let error = place.error(&Problem::Wildcard { key: name });
    match field.kind() {
        Kind::Address => match network_of_wildcard(item.raw) {
            Some(network) => error.with_replacement(network),
            None => error.with_hint("write a network such as `10.0.0.0/8`"),
        },
        Kind::Number => error.with_hint("write a range such as `400..499`"),
        Kind::Time | Kind::TimeEnd => error.with_hint("write a month `2026-01` or a year `2026`"),
        _ => error.with_hint(format!("write the whole value, or `{name}:*` for any")),
    }
}

/// Returns the network that `10.0.*` and `10.0.*.*` mean.
fn network_of_wildcard(raw: &str) -> Option<String> {
    let mut octets: Vec<&str> = raw.split('.').collect();
    while octets.last() == Some(&"*") {
        octets.pop();
    }
    let count = octets.len();
    if !(1..=3).contains(&count) || octets.iter().any(|octet| octet.parse::<u8>().is_err()) {
        return None;
    }
    octets.resize(4, "0");
    let network = format!("{}/{}", octets.join("."), 8 * count);
    network.parse::<IpNet>().ok().map(|network| network.to_string())
}

fn comparison_at_start(text: &str) -> (Option<Comparison>, &str) {
    Comparison::ALL
        .into_iter()
        .find_map(|comparison| text.strip_prefix(comparison.as_str()).map(|rest| (Some(comparison), rest)))
        .unwrap_or((None, text))
}

fn bounds(key: Key) -> Bounds {
    match key {
        Key::StatusCode => Bounds { at_least: 0, at_most: STATUS_CODE_MAX },
        _ => Bounds { at_least: 0, at_most: i64::MAX },
    }
}

fn spelling(operator: Operator) -> &'static str {
    match operator {
        Operator::Colon => ":",
        Operator::Equal => "=",
        Operator::NotEqual => "!=",
        Operator::Contains => "~",
        Operator::Compare(comparison) => comparison.as_str(),
    }
}
