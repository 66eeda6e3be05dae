//! What is searched for: the shapes of queries, each with many values, in a form that every peer can be asked in.

use crate::Generator;

/// What a test looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Kind of resource.
    ResourceType,
    /// Id of the resource.
    ResourceId,
    /// Name of the resource.
    Target,
    /// What was done.
    Action,
    /// Who did it, by name.
    Username,
    /// Organization, by name.
    Organization,
    /// HTTP status.
    Status,
    /// Request.
    RequestId,
}

impl Column {
    /// The key in Annals' query language.
    pub fn key(self) -> &'static str {
        match self {
            Column::ResourceType => "resource_type",
            Column::ResourceId => "resource_id",
            Column::Target => "resource_target",
            Column::Action => "action",
            Column::Username => "username",
            Column::Organization => "organization",
            Column::Status => "status_code",
            Column::RequestId => "request_id",
        }
    }
}

/// One condition.
#[derive(Debug, Clone)]
pub enum Test {
    /// Equal.
    Is(Column, String),
    /// Not equal.
    IsNot(Column, String),
    /// Begins with.
    Begins(Column, String),
    /// Holds.
    Holds(Column, String),
    /// At or after the first, before the second, microseconds since 1970.
    Between(i64, i64),
}

/// All conditions together, and the page.
#[derive(Debug, Clone)]
pub struct Query {
    /// Conditions that all hold.
    pub tests: Vec<Test>,
    /// Rows to skip.
    pub offset: u64,
}

impl Query {
    /// The query in Annals' language.
    pub fn text(&self) -> String {
        let words: Vec<String> = self.tests.iter().map(word).collect();
        words.join(" ")
    }
}

fn word(test: &Test) -> String {
    match test {
        Test::Is(column, value) => format!("{}:{value}", column.key()),
        Test::IsNot(column, value) => format!("-{}:{value}", column.key()),
        Test::Begins(column, value) => format!("{}:{value}*", column.key()),
        Test::Holds(column, value) => format!("{}:*{value}*", column.key()),
        Test::Between(from, to) => format!("since:{} until:{}", time_text(*from), time_text(*to)),
    }
}

/// A time as RFC 3339.
pub fn time_text(time_us: i64) -> String {
    annals_model::time::Time::from_micros_saturating(time_us).to_string()
}

/// Queries that differ in their values only.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Short name.
    pub name: &'static str,
    /// What is asked.
    pub what: &'static str,
    /// The queries.
    pub queries: Vec<Query>,
    /// There are so few values that each round asks all of them; else each asks its own.
    pub is_small: bool,
}

/// Queries of a shape that has values enough.
pub const QUERIES: u64 = 60;
const HOUR_US: i64 = 3_600_000_000;

/// All shapes for a log of some events; `request_ids` are some that occur.
pub fn shapes(events: u64, request_ids: &[String]) -> Vec<Shape> {
    use Column::{Action, Organization, RequestId, ResourceId, ResourceType, Status, Target, Username};
    use Test::{Begins, Between, Holds, Is, IsNot};
    let is = |column: Column, value: &str| Is(column, value.to_owned());
    let user = |rank: u64| Is(Username, format!("demo-user-{rank}"));
    let kinds = [
        "workspace_build",
        "workspace",
        "api_key",
        "template",
        "template_version",
        "user",
        "group",
        "git_ssh_key",
    ];
    let common = &kinds[..3];
    let (from, to) = Generator::span_us(events);
    let windows = QUERIES as i64;
    let mut all = vec![
        small("q1", "no filter", vec![vec![]]),
        small("q2", "a type", kinds.iter().map(|kind| vec![is(ResourceType, kind)]).collect()),
        small(
            "q3",
            "rare type and action",
            [("template", "delete"), ("user", "delete"), ("group", "delete")]
                .map(|(kind, action)| vec![is(ResourceType, kind), is(Action, action)])
                .to_vec(),
        ),
        large("q4", "a heavy user", |at| vec![user(at)]),
        large("q5", "a rare user", |at| vec![user(1_930 + at)]),
        large("q6", "a resource", |at| vec![Is(ResourceId, Generator::workspace_id(10_000 + at * 617))]),
        large("q6b", "a request", |at| vec![is(RequestId, &request_ids[at as usize % request_ids.len()])]),
        large("q7", "four conditions, few hits", |at| {
            vec![is(ResourceType, "workspace"), is(Action, "write"), user(30 + at * 7), is(Status, "500")]
        }),
        small(
            "q7b",
            "three common conditions",
            (0..9)
                .map(|at| {
                    vec![
                        is(ResourceType, common[at / 3]),
                        Is(Organization, format!("org-{}", at % 3)),
                        is(Status, "200"),
                    ]
                })
                .collect(),
        ),
        large("q8", "a day and an action", |at| {
            // Days that begin at any hour, spread over the log.
            let begin = from + (to - from - 24 * HOUR_US).max(0) / windows * at as i64;
            let begin = begin - begin % (HOUR_US / 4);
            vec![Between(begin, begin + 24 * HOUR_US), is(Action, "login")]
        }),
        small(
            "q9",
            "not an action",
            ["start", "stop", "login", "connect", "write", "create", "delete"]
                .map(|action| vec![IsNot(Action, action.to_owned())])
                .to_vec(),
        ),
        large("q11", "target begins with", |at| vec![Begins(Target, format!("workspace-{}", 100 + at * 13))]),
        large("q12", "target holds", |at| vec![Holds(Target, format!("space-{}", 105 + at * 13))]),
    ];
    for (name, what, offset) in [
        ("q10", "a type, offset 10,000", 10_000),
        ("q10b", "a type, offset 100,000", 100_000),
        ("q10c", "a type, offset 1,000,000", 1_000_000),
    ] {
        if offset * 10 <= events {
            let mut shape =
                small(name, what, common.iter().map(|kind| vec![is(ResourceType, kind)]).collect());
            shape.queries.iter_mut().for_each(|query| query.offset = offset);
            all.push(shape);
        }
    }
    all
}

fn small(name: &'static str, what: &'static str, tests: Vec<Vec<Test>>) -> Shape {
    let queries = tests.into_iter().map(|tests| Query { tests, offset: 0 }).collect();
    Shape { name, what, queries, is_small: true }
}

fn large(name: &'static str, what: &'static str, tests: impl Fn(u64) -> Vec<Test>) -> Shape {
    let queries = (0..QUERIES).map(|at| Query { tests: tests(at), offset: 0 }).collect();
    Shape { name, what, queries, is_small: false }
}
