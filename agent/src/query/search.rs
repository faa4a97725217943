//! Answers from the store: limited, reversed or followed, in memory that does not grow with them.

use std::{ops::ControlFlow, time::Duration};

use serde_json::{Map, Value as Json};

use super::{
    filter::Filter,
    summary::{self, Summary},
};
use crate::{
    clock,
    store::{
        error::{Damage, StoreError},
        reader::Reader,
        row::StoredRow,
        scan::Scan,
    },
};

/// How often a follower looks for what is new.
pub const POLL: Duration = Duration::from_millis(200);

/// What is asked of the store.
#[derive(Clone, Debug)]
pub struct Query {
    /// Earliest moment, in nanoseconds since the Unix epoch.
    pub since_ns: u64,
    /// Latest moment.
    pub until_ns: u64,
    /// Which observations.
    pub filter: Filter,
    /// Only so many, the newest.
    pub limit: Option<u64>,
    /// Newest first.
    pub reverse: bool,
    /// Wait for more when all is told.
    pub follow: bool,
    /// How much there is, instead of what.
    pub summary: Option<Summary>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            since_ns: 0,
            until_ns: u64::MAX,
            filter: Filter::default(),
            limit: None,
            reverse: false,
            follow: false,
            summary: None,
        }
    }
}

/// What an answer consists of.
pub enum Answer {
    /// An observation.
    Row(StoredRow),
    /// A line of a summary.
    Line(Map<String, Json>),
    /// Something that people have to know of a summary.
    Notice(String),
    /// A summary has come as far as this moment, in nanoseconds since the Unix epoch.
    At(u64),
    /// A part of the store that cannot be read.
    Damage(Damage),
    /// Nothing at the moment: whoever is gone can be noticed.
    Idle,
}

/// Receives an answer, and says whether to go on.
pub type Tell<'t> = dyn FnMut(Answer) -> ControlFlow<()> + 't;

/// Runs a query to its end, or until `tell` breaks.
pub fn run(reader: &mut Reader, query: &Query, tell: &mut Tell<'_>) -> Result<(), StoreError> {
    if let Some(summary) = &query.summary {
        return summary::run(reader, query, summary, tell);
    }
    let scan = reader
        .scan(query.filter.request(query.since_ns, query.until_ns).reversed(query.reverse))?;
    let end_seq = scan.end_seq();
    let told = match query.limit {
        Some(limit) if query.reverse => tell_all(scan, query, limit, tell),
        Some(limit) => tell_newest(reader, query, limit, end_seq, tell)?,
        None => tell_all(scan, query, u64::MAX, tell),
    };
    if told.is_continue() && query.follow {
        return follow(reader, query, end_seq, tell);
    }
    Ok(())
}

fn tell_all(mut scan: Scan, query: &Query, limit: u64, tell: &mut Tell<'_>) -> ControlFlow<()> {
    let filter = query.filter.rest();
    let mut left = limit;
    // Whoever asks is told of each block, whether something is found in it or not.
    let mut asked_at = 0;
    while left > 0
        && let Some(found) = scan.next()
    {
        match found {
            Ok(row) if filter.matches(&row) => {
                left -= 1;
                tell(Answer::Row(row))?;
            }
            Ok(_) if scan.opened() > asked_at => {
                asked_at = scan.opened();
                tell(Answer::Idle)?;
            }
            Ok(_) => {}
            Err(damage) => tell(Answer::Damage(damage))?,
        }
    }
    ControlFlow::Continue(())
}

/// Rows found on the way backward after which whoever is gone is noticed.
const ROWS_BETWEEN_LOOKS: u64 = 1024;

/// The newest `limit` in order of time: found backwards first, so that none must be kept.
fn tell_newest(
    reader: &mut Reader,
    query: &Query,
    limit: u64,
    end_seq: u64,
    tell: &mut Tell<'_>,
) -> Result<ControlFlow<()>, StoreError> {
    let request = || query.filter.request(query.since_ns, query.until_ns);
    let (mut oldest, mut count) = (None, 0_u64);
    let mut missing = Vec::new();
    let mut broken = ControlFlow::Continue(());
    let backwards = Query { reverse: true, ..query.clone() };
    let scan = reader.scan(request().reversed(true).before(end_seq))?;
    let _ = tell_all(scan, &backwards, limit, &mut |answer| {
        match answer {
            Answer::Row(row) => {
                oldest = Some((row.ts_ns(), row.seq()));
                count += 1;
                if count.is_multiple_of(ROWS_BETWEEN_LOOKS) {
                    broken = tell(Answer::Idle);
                }
            }
            Answer::Damage(damage) => missing.push(damage),
            Answer::Line(_) | Answer::Notice(_) | Answer::At(_) => {}
            Answer::Idle => broken = tell(Answer::Idle),
        }
        broken
    });
    if broken.is_break() {
        return Ok(broken);
    }
    if count < limit {
        // It was all there is: what cannot be read may have had more.
        for damage in missing {
            if tell(Answer::Damage(damage)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    let Some((oldest_ns, oldest_seq)) = oldest else { return Ok(broken) };
    let mut request = request().before(end_seq);
    request.from_ns = oldest_ns;
    let scan = reader.scan(request)?;
    Ok(tell_all(scan, query, u64::MAX, &mut |answer| match answer {
        Answer::Row(row) if (row.ts_ns(), row.seq()) < (oldest_ns, oldest_seq) => {
            ControlFlow::Continue(())
        }
        // Told already.
        Answer::Damage(_) if count < limit => ControlFlow::Continue(()),
        answer @ (Answer::Row(_)
        | Answer::Line(_)
        | Answer::Notice(_)
        | Answer::At(_)
        | Answer::Damage(_)
        | Answer::Idle) => tell(answer),
    }))
}

fn follow(
    reader: &mut Reader,
    query: &Query,
    mut from_seq: u64,
    tell: &mut Tell<'_>,
) -> Result<(), StoreError> {
    let grace_ns = 5 * POLL.as_nanos() as u64;
    while clock::now_ns() < query.until_ns.saturating_add(grace_ns) {
        if tell(Answer::Idle).is_break() {
            return Ok(());
        }
        std::thread::sleep(POLL);
        let mut request = query.filter.request(query.since_ns, query.until_ns);
        request.from_seq = from_seq;
        let scan = reader.scan(request)?;
        from_seq = from_seq.max(scan.end_seq());
        if tell_all(scan, query, u64::MAX, tell).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        query::expr::Expr,
        store::{config::Config, open::open, reader::Request, sample::Sample},
    };

    /// A store of 1000 rows in several blocks, closed.
    fn stored() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("makes a directory");
        let config = Config {
            block_rows: 100,
            queue: 1000,
            max_age: Duration::from_hours(100 * 365 * 24),
            ..Config::new(dir.path())
        };
        let (mut appender, _) = open(&config).expect("opens");
        let sample = Sample::new();
        (0..1000).for_each(|number| sample.with(number, |it| appender.append(it)));
        appender.close();
        dir
    }

    fn seqs(query: &Query) -> Vec<u64> {
        seqs_in(stored().path(), query)
    }

    fn seqs_in(dir: &Path, query: &Query) -> Vec<u64> {
        let mut reader = Reader::open(dir).expect("is readable");
        let mut seqs = Vec::new();
        run(&mut reader, query, &mut |answer| {
            if let Answer::Row(row) = answer {
                seqs.push(row.seq());
            }
            ControlFlow::Continue(())
        })
        .expect("runs");
        seqs
    }

    fn connects() -> Query {
        let expressions = vec![Expr::parse("kind = connect").expect("is right")];
        Query { filter: Filter { expressions, ..Filter::default() }, ..Query::default() }
    }

    #[test]
    fn a_limit_gives_the_newest_in_order_of_time() {
        assert_eq!(seqs(&Query { limit: Some(3), ..connects() }), [985, 990, 995]);
        assert_eq!(seqs(&Query { limit: Some(3), reverse: true, ..connects() }), [995, 990, 985]);
        assert_eq!(seqs(&Query { limit: Some(5000), ..connects() }).len(), 200);
        assert!(seqs(&Query { limit: Some(0), ..connects() }).is_empty());
        assert_eq!(seqs(&Query { reverse: true, ..connects() })[0], 995);
    }

    #[test]
    fn an_expression_finds_the_same_whether_the_store_helps_or_not() {
        let dir = stored();
        for text in [
            "proc.pid = 1007",
            "proc.pid = 1007 or proc.ppid = 1007",
            "proc.ppid = 1",
            "file.path = '/var/lib/app/file-8'",
            "file.path ~ 'file-8$' or net.raddr = 10.0.0.5",
            "net.raddr in 10.0.0.0/24 and net.rport = 443",
            "net.raddr in 192.168.0.0/16",
            "net.rport = 443 and ctr.name = 'web-5'",
            "file.op = create and proc.exe ~ 'tool-3'",
            "proc.args ~ '77'",
            "net.dns ^= 'db.'",
            "node.name = 'host-a'",
            "ctr.image = 'nginx:1.24'",
            "kind = exec",
            "count = 1",
            "count = 2",
            "not file.op = create",
        ] {
            let expr = Expr::parse(text).expect("is right");
            let mut reader = Reader::open(dir.path()).expect("is readable");
            let rows = reader.scan(Request::default()).expect("scans").map_while(Result::ok);
            let mut alone: Vec<u64> =
                rows.filter(|row| expr.holds(row)).map(|row| row.seq()).collect();
            let filter = Filter { expressions: vec![expr], ..Filter::default() };
            let query = Query { filter, ..Query::default() };
            assert_eq!(seqs_in(dir.path(), &query), alone, "{text}");
            alone.reverse();
            assert_eq!(seqs_in(dir.path(), &Query { reverse: true, ..query }), alone, "{text}");
        }
    }

    #[test]
    fn whoever_asks_in_vain_hears_that_the_search_goes_on() {
        let dir = stored();
        let expressions = vec![Expr::parse("count = 2").expect("is right")];
        let query =
            Query { filter: Filter { expressions, ..Filter::default() }, ..Query::default() };
        let mut reader = Reader::open(dir.path()).expect("is readable");
        let (mut idle, mut others) = (0, 0);
        run(&mut reader, &query, &mut |answer| {
            if let Answer::Idle = answer {
                idle += 1;
            } else {
                others += 1;
            }
            ControlFlow::Continue(())
        })
        .expect("runs");
        assert_eq!((idle, others), (10, 0), "once for each block");
    }

    #[test]
    fn what_cannot_be_read_is_told_once_where_it_may_be_missing() {
        let dir = stored();
        let path = std::fs::read_dir(dir.path().join("events")).expect("lists").flatten();
        let path = path.map(|it| it.path()).find(|it| it.extension().is_some_and(|it| it == "evs"));
        let path = path.expect("is a segment");
        let mut bytes = std::fs::read(&path).expect("reads");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("writes");
        let found = |query: &Query| {
            let (mut rows, mut damages) = (0, 0);
            let mut reader = Reader::open(dir.path()).expect("is readable");
            run(&mut reader, query, &mut |answer| {
                match answer {
                    Answer::Row(_) => rows += 1,
                    Answer::Damage(_) => damages += 1,
                    Answer::Line(_) | Answer::Notice(_) | Answer::At(_) | Answer::Idle => {}
                }
                ControlFlow::Continue(())
            })
            .expect("runs");
            (rows, damages)
        };
        let limited = |limit| Query { limit: Some(limit), ..connects() };
        assert_eq!(found(&limited(5000)), (180, 1));
        let expressions = vec![Expr::parse("count = 2").expect("is right")];
        let in_vain = Filter { expressions, ..Filter::default() };
        assert_eq!(found(&Query { filter: in_vain, ..limited(3) }), (0, 1));
    }

    #[test]
    fn a_follower_sees_what_comes_later_once() {
        let dir = tempfile::tempdir().expect("makes a directory");
        let config = Config { flush: Duration::ZERO, ..Config::new(dir.path()) };
        let (mut appender, _) = open(&config).expect("opens");
        let sample = Sample::new();
        sample.with(0, |it| appender.append(it));
        appender.tick();
        let mut reader = Reader::open(dir.path()).expect("is readable");
        let query = Query { follow: true, ..Query::default() };
        let (mut next, mut seen) = (1, Vec::new());
        let start = clock::instant();
        run(&mut reader, &query, &mut |answer| {
            assert!(clock::since(start).as_secs() < 20, "{seen:?}");
            match answer {
                Answer::Row(row) => seen.push(row.seq()),
                Answer::Idle if seen.len() == next => {
                    sample.with(next as u64, |it| appender.append(it));
                    appender.tick();
                    next += 1;
                }
                Answer::Line(_)
                | Answer::Notice(_)
                | Answer::At(_)
                | Answer::Damage(_)
                | Answer::Idle => {}
            }
            if seen.len() == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("runs");
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }
}
