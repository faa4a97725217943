//! What a replay tells: each alert as it comes, then what there was by rule and image.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::Write as _,
};

use plimsoll_ebpf::{
    rules::{Rule, Severity},
    value::Value,
};
use serde_json::{Map, Value as Json, json};

use crate::{
    attribution::observation::Observation,
    cli::{
        columns::{Format, lines, table},
        exit::Failure,
        output::{self, Output},
    },
    fields::Fields,
    query::{
        json,
        table::{Layout, Style, find, severity},
    },
    replay::Counts,
};

/// Pairs of rule and image that are told apart at most.
const MOST: usize = 10_000;

/// See the module.
pub(super) struct Told {
    out: Output,
    failed: Option<Failure>,
    least: Option<Severity>,
    form: Form,
    style: Style,
    has_heading: bool,
    /// Numbers of incidents, in the order in which they began: those of an agent are drawn by lot.
    incidents: HashMap<String, u64>,
    sums: BTreeMap<Key, Sum>,
    worst: Option<Severity>,
    looked_at: u64,
    counts: Counts,
}

/// How alerts are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// By their number alone.
    Summary,
    /// A line each, for people.
    Lines,
    /// An object each.
    Objects,
}

/// The worst first, then the rule and the image.
type Key = (std::cmp::Reverse<Severity>, &'static str, String);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    alerts: u64,
    /// Acts that they stand for.
    acts: u64,
    /// Alerts that were recorded.
    recorded: u64,
}

impl Told {
    pub(super) fn new(least: Option<Severity>, form: Form, whole: bool) -> Self {
        Self {
            out: output::stdout(),
            failed: None,
            least,
            form,
            style: Style::of_stdout(whole).with(Layout::Alerts),
            has_heading: false,
            incidents: HashMap::new(),
            sums: BTreeMap::new(),
            worst: None,
            looked_at: 0,
            counts: Counts::default(),
        }
    }

    /// Takes note of an alert that was recorded.
    pub(super) fn note_recorded(&mut self, recorded: &dyn Fields) {
        let label = |name| match recorded.get(name) {
            Some(Value::Label(label)) => label,
            _ => "",
        };
        if label("kind") != "alert" || label("alert.of") == "volume" {
            return;
        }
        let Some(rule) = Rule::by_name(label("rule")) else { return };
        let Some(Value::Text(image)) = recorded.get("ctr.image") else { return };
        let image = String::from_utf8_lossy(image).into_owned();
        if let Some(sum) = self.sum(rule, image) {
            sum.recorded += 1;
        }
    }

    /// Tells an alert.
    pub(super) fn add(&mut self, alert: &Observation<'_>) {
        let mut object = json::object(alert);
        let Some(rule) = find(&object, "rule").and_then(Json::as_str).and_then(Rule::by_name)
        else {
            return;
        };
        let image = find(&object, "ctr.image").and_then(Json::as_str).unwrap_or_default();
        let image = image.to_owned();
        let acts = find(&object, "count").and_then(Json::as_u64).unwrap_or(1);
        if let Some(sum) = self.sum(rule, image) {
            sum.alerts += 1;
            sum.acts += acts;
        } else {
            return;
        }
        self.worst = self.worst.max(severity(&object));
        self.renumber(&mut object);
        let line = match self.form {
            Form::Summary => return,
            Form::Objects => Json::Object(object).to_string(),
            Form::Lines => {
                if !self.has_heading {
                    self.has_heading = true;
                    self.write(&self.style.heading());
                }
                self.style.line(&object)
            }
        };
        self.write(&line);
    }

    fn renumber(&mut self, object: &mut Map<String, Json>) {
        let incident = object.get_mut("alert").and_then(|it| it.get_mut("incident"));
        if let Some(Json::String(number)) = incident {
            let next = self.incidents.len() as u64 + 1;
            let place = *self.incidents.entry(std::mem::take(number)).or_insert(next);
            *number = format!("{place:016x}");
        }
    }

    fn write(&mut self, line: &str) {
        if self.failed.is_none() {
            let written = writeln!(self.out, "{line}");
            self.failed = written.err().map(Failure::environment);
        }
    }

    /// The sum of a rule and image; `None` where nobody asks for so mild a rule, or there are too many.
    fn sum(&mut self, rule: Rule, image: String) -> Option<&mut Sum> {
        let info = rule.info();
        let key = (std::cmp::Reverse(info.severity), info.name, image);
        let is_asked = self.least.is_none_or(|least| info.severity >= least);
        let has_room = self.sums.len() < MOST || self.sums.contains_key(&key);
        (is_asked && has_room).then(|| self.sums.entry(key).or_default())
    }

    /// Nothing more comes; tells the sums.
    ///
    /// # Errors
    /// When standard output could not be written.
    pub(super) fn end(
        mut self,
        looked_at: u64,
        counts: Counts,
        format: Format,
    ) -> Result<Option<Severity>, Failure> {
        (self.looked_at, self.counts) = (looked_at, counts);
        let shown = match format {
            Format::Table => self.text(),
            Format::Json => self.objects(),
        };
        self.write(shown.trim_end());
        if self.failed.is_none() {
            self.failed = self.out.flush().err().map(Failure::environment);
        }
        match self.failed {
            Some(failure) => Err(failure),
            None => Ok(self.worst),
        }
    }

    fn text(&self) -> String {
        let rows: Vec<[String; 6]> = (self.sums.iter())
            .map(|((severity, rule, image), sum)| {
                let Sum { alerts, acts, recorded } = sum;
                let severity = severity.0.name().to_owned();
                let [alerts, acts, recorded] = [alerts, acts, recorded].map(u64::to_string);
                [(*rule).to_owned(), severity, image.clone(), alerts, acts, recorded]
            })
            .collect();
        let mut text = String::new();
        if !rows.is_empty() {
            if self.has_heading {
                text.push('\n');
            }
            text += &table(["RULE", "SEVERITY", "IMAGE", "ALERTS", "ACTS", "RECORDED"], &rows);
            text.push('\n');
        }
        let alerts: u64 = self.sums.values().map(|it| it.alerts).sum();
        let recorded: u64 = self.sums.values().map(|it| it.recorded).sum();
        let Counts { judged, learned, .. } = self.counts;
        let alerts = if alerts == 1 { "one alert".to_owned() } else { format!("{alerts} alerts") };
        let _ = write!(text, "{alerts} in {} observations", judged - learned);
        if learned > 0 {
            let _ = write!(text, ", after learning from {learned}");
        }
        let _ = writeln!(text, "; recorded at the time: {recorded}");
        for note in self.notes() {
            let _ = writeln!(text, "note: {note}");
        }
        text
    }

    /// What to bear in mind about the numbers.
    fn notes(&self) -> Vec<String> {
        let Counts { volumes, unknown, lost, .. } = self.counts;
        let mut notes = Vec::new();
        if volumes > 0 {
            notes.push(format!(
                "{volumes} departures of amounts were recorded and are not judged again"
            ));
        }
        if lost > 0 {
            notes.push(format!(
                "the agent lost {lost} observations, which are not in the recording"
            ));
        }
        if unknown > 0 {
            notes.push(format!("{unknown} events are of another version and were left out"));
        }
        notes
    }

    /// Each sum, then the total.
    fn objects(&self) -> String {
        let mut objects: Vec<Json> = (self.sums.iter())
            .map(|((severity, rule, image), sum)| {
                let Sum { alerts, acts, recorded } = sum;
                json!({
                    "of": "rule", "rule": rule, "severity": severity.0.name(), "image": image,
                    "alerts": alerts, "acts": acts, "recorded": recorded,
                })
            })
            .collect();
        let Counts { judged, learned, volumes, unknown, lost } = self.counts;
        objects.push(json!({
            "of": "total",
            "alerts": self.sums.values().map(|it| it.alerts).sum::<u64>(),
            "recorded": self.sums.values().map(|it| it.recorded).sum::<u64>(),
            "observations": self.looked_at,
            "judged": judged - learned,
            "learned": learned,
            "volumes": volumes,
            "unknown": unknown,
            "lost": lost,
        }));
        lines(&objects)
    }
}
