//! Reads the agent's metrics as Prometheus does.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(10);

/// All series with their values.
pub(super) struct Metrics {
    text: String,
}

impl Metrics {
    pub(super) fn of(address: SocketAddr) -> Result<Self> {
        Self::answer(address).context("reading the agent's metrics")
    }

    fn answer(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, text) = answer.split_once("\r\n\r\n").context("the answer has no body")?;
        let status = head.lines().next().unwrap_or_default();
        ensure!(status.split(' ').nth(1) == Some("200"), "the answer is {status}");
        Ok(Self { text: text.to_owned() })
    }

    /// The value of a series without labels.
    pub(super) fn value(&self, name: &str) -> Result<f64> {
        let mut rests = self.text.lines().filter_map(|line| line.strip_prefix(name));
        let value = rests.find_map(|rest| rest.strip_prefix(' ')?.trim().parse().ok());
        value.with_context(|| format!("the agent tells no {name}"))
    }

    /// The series of a metric with one label: its value and the metric's.
    pub(super) fn labelled(&self, name: &str, label: &str) -> Vec<(&str, f64)> {
        let start = format!("{name}{{{label}=\"");
        let rests = self.text.lines().filter_map(|line| line.strip_prefix(&start));
        rests
            .filter_map(|rest| {
                let (value_of_label, value) = rest.split_once("\"} ")?;
                Some((value_of_label, value.trim().parse().ok()?))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_their_whole_name() {
        let text = "# HELP a_total x\na_total_more 3\na_total 2.5\na_total{k=\"v\"} 9\n".to_owned();
        let metrics = Metrics { text };
        assert_eq!(metrics.value("a_total").ok(), Some(2.5));
        assert_eq!(metrics.value("a").ok(), None);
    }

    #[test]
    fn labelled_series_come_with_their_label() {
        let text =
            "a{probe=\"on_exec\"} 1\na{probe=\"on_fork\"} 2e3\nb{probe=\"x\"} 3\n".to_owned();
        let metrics = Metrics { text };
        assert_eq!(metrics.labelled("a", "probe"), [("on_exec", 1.0), ("on_fork", 2000.0)]);
    }
}
