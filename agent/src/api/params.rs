//! The parameters of a query as they stand in a request and in arguments, and their meaning.

use std::fmt::Write;

use plimsoll_ebpf::catalog::CATALOG;

use crate::query::{
    expr::{Expr, ExprError},
    filter::Filter,
    moment::{self, MomentError},
    parser,
    search::Query,
    summary::Summary,
};

/// A query as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// Earliest moment.
    pub since: Option<String>,
    /// Latest moment.
    pub until: Option<String>,
    /// Names or starts of ids of containers.
    pub containers: Vec<String>,
    /// Images.
    pub images: Vec<String>,
    /// Services.
    pub services: Vec<String>,
    /// Events.
    pub kinds: Vec<String>,
    /// Expressions.
    pub expressions: Vec<String>,
    /// Only so many, the newest.
    pub limit: Option<u64>,
    /// Newest first.
    pub reverse: bool,
    /// Wait for more.
    pub follow: bool,
    /// Counts by these fields instead of observations.
    pub count_by: Vec<String>,
    /// Counts over time instead of observations: by intervals of this length, or `auto`.
    pub histogram: Option<String>,
    /// Tell how far a summary is.
    pub progress: bool,
}

/// A query that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// A moment.
    #[error("{0}: {1}")]
    Moment(&'static str, MomentError),
    /// An expression.
    #[error("where: {0}")]
    Expr(ExprError),
    /// The name of an event.
    #[error("unknown kind '{0}'; there are {all}", all = kinds())]
    Kind(String),
    /// A parameter of a request.
    #[error("unknown parameter '{0}'")]
    Unknown(String),
    /// A parameter's value in a request.
    #[error("'{1}' is no value of {0}")]
    Value(&'static str, String),
    /// Newest first and then more.
    #[error("reverse and follow exclude each other: what comes later is newer")]
    ReverseFollow,
    /// The name of a field.
    #[error("count by: {0}")]
    Field(String),
    /// An interval.
    #[error("histogram: `{0}` is no interval: use a duration such as 10s, 5m or 1h")]
    Interval(String),
    /// Two answers at once, or one that never ends.
    #[error("counts are of what is there: they are not followed, reversed or asked for twice")]
    Summary,
}

/// Intervals as long as fits what is found.
pub const AUTO: &str = "auto";

fn kinds() -> String {
    CATALOG.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}

impl Params {
    /// What is meant; moments that count from now are fixed.
    pub fn query(&self) -> Result<Query, ParamsError> {
        let moment = |name, text: &Option<String>| {
            let moment = text.as_deref().map(moment::parse).transpose();
            moment.map_err(|error| ParamsError::Moment(name, error))
        };
        let unknown = self.kinds.iter().find(|it| CATALOG.iter().all(|kind| kind.name != **it));
        if let Some(unknown) = unknown {
            return Err(ParamsError::Kind(unknown.clone()));
        }
        if self.reverse && self.follow {
            return Err(ParamsError::ReverseFollow);
        }
        let filter = Filter {
            containers: self.containers.clone(),
            images: self.images.clone(),
            services: self.services.clone(),
            kinds: self.kinds.clone(),
            expressions: self
                .expressions
                .iter()
                .map(|it| Expr::parse(it).map_err(ParamsError::Expr))
                .collect::<Result<_, _>>()?,
        };
        Ok(Query {
            since_ns: moment("since", &self.since)?.unwrap_or(0),
            until_ns: moment("until", &self.until)?.unwrap_or(u64::MAX),
            filter,
            limit: self.limit,
            reverse: self.reverse,
            follow: self.follow,
            summary: self.summary()?,
        })
    }

    fn summary(&self) -> Result<Option<Summary>, ParamsError> {
        let is_alone = !self.follow && !self.reverse;
        match (self.count_by.as_slice(), &self.histogram) {
            ([], None) => Ok(None),
            (names, None) if is_alone => {
                let fields = names.iter().map(|name| parser::field(name));
                let fields = fields.collect::<Result<_, _>>().map_err(ParamsError::Field)?;
                Ok(Some(Summary::CountBy(fields)))
            }
            ([], Some(every)) if is_alone => {
                let every_ns = match every.as_str() {
                    AUTO => None,
                    every => Some(
                        moment::duration(every)
                            .filter(|it| *it > 0)
                            .ok_or_else(|| ParamsError::Interval(every.to_owned()))?,
                    ),
                };
                Ok(Some(Summary::Histogram { every_ns }))
            }
            _ => Err(ParamsError::Summary),
        }
    }

    /// The part of a request behind the question mark.
    pub fn encode(&self) -> String {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        pairs.extend(self.since.as_deref().map(|it| ("since", it)));
        pairs.extend(self.until.as_deref().map(|it| ("until", it)));
        for (name, values) in [
            ("container", &self.containers),
            ("image", &self.images),
            ("service", &self.services),
            ("kind", &self.kinds),
            ("where", &self.expressions),
            ("count_by", &self.count_by),
        ] {
            pairs.extend(values.iter().map(|value| (name, value.as_str())));
        }
        let limit = self.limit.map(|limit| limit.to_string());
        pairs.extend(limit.as_deref().map(|it| ("limit", it)));
        pairs.extend(self.reverse.then_some(("reverse", "true")));
        pairs.extend(self.follow.then_some(("follow", "true")));
        pairs.extend(self.histogram.as_deref().map(|it| ("histogram", it)));
        pairs.extend(self.progress.then_some(("progress", "true")));
        let pairs: Vec<String> =
            pairs.into_iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        pairs.join("&")
    }

    /// Undoes [`Self::encode`].
    pub fn decode(query: &str) -> Result<Self, ParamsError> {
        let mut params = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            params.set(&unescape(name), unescape(value))?;
        }
        Ok(params)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), ParamsError> {
        let flag = |name, value: String| value.parse().map_err(|_| ParamsError::Value(name, value));
        match name {
            "since" => self.since = Some(value),
            "until" => self.until = Some(value),
            "container" => self.containers.push(value),
            "image" => self.images.push(value),
            "service" => self.services.push(value),
            "kind" => self.kinds.push(value),
            "where" => self.expressions.push(value),
            "limit" => {
                self.limit = Some(value.parse().map_err(|_| ParamsError::Value("limit", value))?);
            }
            "reverse" => self.reverse = flag("reverse", value)?,
            "follow" => self.follow = flag("follow", value)?,
            "count_by" => self.count_by.push(value),
            "histogram" => self.histogram = Some(value),
            "progress" => self.progress = flag("progress", value)?,
            _ => return Err(ParamsError::Unknown(name.to_owned())),
        }
        Ok(())
    }
}

pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Undoes percent-encoding; what is none stays as it is.
pub fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = (*first == b'%').then(|| tail.first_chunk::<2>()).flatten();
        let escaped = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            expression in ".{0,40}", container in ".{0,20}", limit: Option<u64>, reverse: bool,
        ) {
            let params = Params {
                since: Some("2025-01-01T00:00:00+01:00".to_owned()),
                containers: vec![container.clone(), container],
                expressions: vec![expression],
                limit,
                reverse,
                count_by: vec!["kind".to_owned(), "proc.exe".to_owned()],
                histogram: Some("5m".to_owned()),
                progress: reverse,
                ..Params::default()
            };
            prop_assert_eq!(Params::decode(&params.encode()), Ok(params));
        }

        #[test]
        fn any_request_is_read_or_refused(query in ".{0,60}|[%&=a-f0-9+]{0,40}") {
            let _ = Params::decode(&query);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |query: &str| {
            Params::decode(query)
                .and_then(|params| params.query())
                .map_err(|it| it.to_string())
                .err()
        };
        assert_eq!(error("limt=3").as_deref(), Some("unknown parameter 'limt'"));
        assert_eq!(error("limit=x").as_deref(), Some("'x' is no value of limit"));
        assert!(
            error("kind=exce")
                .is_some_and(|it| it.starts_with("unknown kind 'exce'; there are exec, fork"))
        );
        assert!(error("since=soon").is_some_and(|it| it.starts_with("since: `soon` is no moment")));
        assert!(error("where=a").is_some_and(|it| it.starts_with("where: unknown field 'a'")));
        assert!(error("reverse=true&follow=true").is_some());
        assert_eq!(error("where=kind+%3D+exec&since=5m"), None);
        assert_eq!(
            error("count_by=exe").as_deref(),
            Some("count by: unknown field 'exe', did you mean 'proc.exe' or 'proc.parent.exe'?")
        );
        for wrong in ["0s", "soon", "-1m", ""] {
            let said = error(&format!("histogram={wrong}"));
            assert!(said.is_some_and(|it| it.contains("is no interval")), "{wrong}");
        }
        for twice in ["histogram=auto&count_by=kind", "count_by=kind&follow=true"] {
            assert!(error(twice).is_some_and(|it| it.starts_with("counts are")), "{twice}");
        }
        assert_eq!(error("count_by=kind&count_by=proc.exe&limit=3"), None);
        assert_eq!(error("histogram=auto"), None);
    }
}
