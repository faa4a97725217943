//! How a frame is drawn: a line of totals, the containers, the latest alerts, the keys.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};
use plimsoll_ebpf::{rules::Severity, value::readable};
use ratatui::{
    Frame as Canvas,
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row as TableRow, Table, Widget},
};
use serde_json::{Map, Value as Json};

use super::frame::{Frame, Row, letters};
use crate::query::table::{find, severity};

const KEYS: &str = " q quit  s sort  r turn  / filter  arrows move   mode: exec file network";
/// Alerts that are shown at most, where the terminal is high enough.
const MOST_ALERTS: u16 = 8;
/// Lines besides containers and alerts: totals, two headings, keys.
const OTHER_LINES: u16 = 4;
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const HEADING: Style = Style::new().add_modifier(Modifier::REVERSED);
/// Widths of the columns after name and image, which share the rest.
const WIDTHS: [u16; 5] = [14, 5, 7, 7, 7];

impl Frame {
    /// Lines in which all of it fits.
    pub(super) fn whole_height(&self) -> u16 {
        let rows = u16::try_from(self.rows().len()).unwrap_or(u16::MAX);
        rows.saturating_add(MOST_ALERTS + OTHER_LINES)
    }
}

/// Draws on a terminal.
pub(super) fn draw(frame: &Frame, canvas: &mut Canvas<'_>) {
    let area = canvas.area();
    render(frame, area, canvas.buffer_mut());
}

/// Draws as text without colours and without the line of keys, of a size in letters.
pub(super) fn text(frame: &Frame, width: u16, height: u16) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    render(frame, area, &mut buffer);
    let mut text = String::new();
    for y in 0..height.saturating_sub(1) {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let end = text.trim_end().len();
    text.truncate(end);
    text.push('\n');
    text
}

fn render(frame: &Frame, area: Rect, buffer: &mut Buffer) {
    let alerts = (area.height / 3).min(MOST_ALERTS);
    let [top, table, heading, latest, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(1),
        Constraint::Length(alerts),
        Constraint::Length(1),
    ])
    .areas(area);
    totals(frame).render(top, buffer);
    containers(frame, table, buffer);
    Paragraph::new("LATEST ALERTS").style(HEADING).render(heading, buffer);
    let lines: Vec<Line<'_>> = frame.alerts().take(alerts.into()).map(alert).collect();
    let lines = if lines.is_empty() { vec![Line::from("none")] } else { lines };
    Paragraph::new(lines).render(latest, buffer);
    let typed = format!(" filter: {}_   Enter keeps it, Esc takes it back", plain(&frame.filter));
    Paragraph::new(if frame.is_typing { typed } else { KEYS.to_owned() }).render(keys, buffer);
}

fn totals(frame: &Frame) -> Line<'_> {
    if let Some(trouble) = &frame.trouble {
        return Line::styled(plain(trouble), Style::new().fg(Color::Red));
    }
    let mut line = format!(" {}, {}", containers_of(frame.count()), clock_time(frame.now_ns()));
    let _ = write!(line, ", sorted by {}", frame.order());
    if !frame.filter.is_empty() {
        let _ = write!(line, ", only {}", plain(&frame.filter));
    }
    Line::from(vec![Span::styled("plimsoll top", BOLD), Span::raw(line)])
}

fn containers(frame: &Frame, area: Rect, buffer: &mut Buffer) {
    let rows = frame.rows();
    let shown = rows.iter().skip(frame.above).map(row);
    let rest = area.width.saturating_sub(WIDTHS.iter().sum::<u16>() + 6);
    let name = rest / 2;
    let widths = [name, rest - name].into_iter().chain(WIDTHS).map(Constraint::Length);
    let heading =
        ["CONTAINER", "IMAGE", "PROFILE", "MODE", " EXEC/s", "WRITE/s", "CONN/s "].map(Cell::from);
    let table = Table::new(shown, widths).column_spacing(1);
    Widget::render(table.header(TableRow::new(heading).style(HEADING)), area, buffer);
}

fn row(it: &Row) -> TableRow<'static> {
    let rate = |of: usize| {
        let shown = it.rates.map_or_else(|| "-".to_owned(), |rates| rate(rates[of]));
        Cell::from(format!("{shown:>7}"))
    };
    TableRow::new([
        Cell::from(it.name.clone()),
        Cell::from(it.image.clone()),
        Cell::from(it.profile.clone()),
        Cell::from(letters(it.modes)),
        rate(0),
        rate(1),
        rate(2),
    ])
}

/// A rate in at most seven letters.
fn rate(rate: f64) -> String {
    if rate < 1000.0 { format!("{rate:.1}") } else { format!("{:.1}k", rate / 1000.0) }
}

fn alert(alert: &Map<String, Json>) -> Line<'static> {
    let text = |name| plain(find(alert, name).and_then(Json::as_str).unwrap_or_default());
    let worst = severity(alert);
    let colour = match worst {
        Some(Severity::Critical | Severity::High) => Style::new().fg(Color::Red),
        Some(Severity::Medium) => Style::new().fg(Color::Yellow),
        Some(Severity::Low | Severity::Info) | None => Style::new(),
    };
    let moment = text("ts").parse::<Timestamp>();
    let at = moment.map(|it| it.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string());
    let name = worst.map_or("", Severity::name);
    let line = format!(
        "{} {name:8} {} {}: {}",
        at.unwrap_or_default(),
        text("rule"),
        text("ctr.name"),
        text("reason"),
    );
    Line::styled(line, colour)
}

fn containers_of(count: usize) -> String {
    if count == 1 { "one container".to_owned() } else { format!("{count} containers") }
}

/// Without what a terminal would obey.
fn plain(text: &str) -> String {
    readable(text.as_bytes()).into_owned()
}

fn clock_time(ns: u64) -> String {
    let moment = Timestamp::from_nanosecond(i128::from(ns)).unwrap_or_default();
    moment.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}
