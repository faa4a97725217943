//! Bytes from disk that are anything: decoders refuse them or read them, and need no more memory
//! than they justify. Real blocks are changed in a few places, and their checksums made right
//! again, so that what stands behind the checksums is reached.

use std::process::{Command, Stdio};

use super::{
    batch::Batch,
    block::{Header, reseal, section},
    builder::{BlockBuilder, add},
    bytes::Cursor,
    decode::Table,
    row::StoredBlock,
    sample::Sample,
    segment::each_frame,
};

/// How many inputs the process of its own is to try.
const INPUTS: &str = "PLIMSOLL_TEST_INPUTS";

/// Numbers without order that are the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Blocks of a few rows of every event of the sample.
fn seeds() -> Vec<Vec<u8>> {
    let sample = Sample::new();
    let mut compressor = zstd::bulk::Compressor::new(1).expect("zstd has level 1");
    (0..8)
        .map(|seed| {
            let mut batch = Batch::default();
            let numbers = seed * 31..seed * 31 + 1 + seed * 2;
            numbers.for_each(|number| sample.with(number, |it| batch.push(it)));
            let mut builder = BlockBuilder::new();
            // Of every second block some rows are elsewhere.
            let mut other = BlockBuilder::new();
            let elsewhere = |kind| usize::from(seed % 2 == 1 && kind == 0);
            add(&batch, seed * 1000, &mut [&mut builder, &mut other], elsewhere);
            builder.encode(&mut compressor).expect("compresses")
        })
        .collect()
}

/// Every section of the seeds as it is before compression.
fn sections(seeds: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let tags = [section::KEYS, section::PROCESSES, section::REST];
    let of = |block: &Vec<u8>| {
        let header = Header::parse(block).expect("is sound");
        let payload = &block[header.own_bytes..];
        tags.map(|tag| header.section(tag, payload).expect("is sound"))
    };
    seeds.iter().flat_map(of).collect()
}

/// Changes up to eight places: bits, bytes, lengths, order.
fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    const EDGES: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
    for _ in 0..=dice.below(8) {
        let at = dice.below(bytes.len());
        match dice.below(7) {
            _ if bytes.is_empty() => bytes.push(dice.next() as u8),
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.next() as u8,
            2 => bytes[at] = EDGES[dice.below(EDGES.len())],
            3 => bytes.truncate(at),
            4 => bytes.insert(at, dice.next() as u8),
            5 => drop(bytes.remove(at)),
            _ => {
                let other = dice.below(bytes.len());
                bytes.swap(at, other);
            }
        }
    }
}

/// Reads a table and every value in it.
fn read(bytes: &[u8]) {
    let mut from = Cursor(bytes);
    for _ in 0..3 {
        let Ok(table) = Table::decode(&mut from) else { return };
        // Where there is no bit for each row, a few bytes may stand for many.
        for row in (0..table.rows).take(64).chain(table.rows.checked_sub(1)) {
            for column in &table.columns {
                let _ = std::hint::black_box(column.get(row));
            }
        }
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("there is one");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("is told");
    line.trim().trim_end_matches(" kB").parse().expect("is a number")
}

fn fuzz(inputs: u64) {
    let seeds = seeds();
    let sections = sections(&seeds);
    let mut dice = Dice(0x5eed_0000_0000_0001 ^ inputs);
    let before_kib = resident_kib();
    let mut read_whole = 0;
    for input in 0..inputs {
        if input % 8 < 5 {
            let mut bytes = sections[dice.below(sections.len())].clone();
            mutate(&mut bytes, &mut dice);
            read(&bytes);
            continue;
        }
        let mut block = seeds[dice.below(seeds.len())].clone();
        mutate(&mut block, &mut dice);
        if input % 8 < 7 {
            reseal(&mut block);
        }
        if let Ok(header) = Header::parse(&block) {
            let payload = block.get(header.own_bytes..).unwrap_or_default();
            if let Ok(stored) = StoredBlock::of(&header, payload) {
                read_whole += 1;
                (0..stored.keys().rows().min(64)).for_each(|row| {
                    let _ = std::hint::black_box((stored.keys().seq(row), stored.keys().kind(row)));
                });
            }
        }
        let _ = each_frame(&block, |header, _| drop(std::hint::black_box(header)));
    }
    assert!(read_whole > inputs / 1000, "only {read_whole} blocks came as far as their rows");
    let grown_kib = resident_kib() - before_kib;
    assert!(grown_kib < 256 << 10, "{grown_kib} KiB more than before");
}

/// Runs in a process of its own: the names of other versions that are kept are bounded, and these
/// are all there may be.
fn fuzz_apart(inputs: u64) {
    let test = "store::fuzz_tests::a_process_of_its_own";
    let status = Command::new(std::env::current_exe().expect("runs"))
        .args(["--exact", test, "--ignored"])
        .env(INPUTS, inputs.to_string())
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("starts").success(), "see above");
}

#[test]
#[ignore = "it is started by the tests below"]
fn a_process_of_its_own() {
    let Some(inputs) = std::env::var(INPUTS).ok().and_then(|it| it.parse().ok()) else { return };
    fuzz(inputs);
}

#[test]
fn changed_blocks_are_read_or_refused() {
    fuzz_apart(20_000);
}

#[test]
#[ignore = "takes minutes: `cargo xtask fuzz`"]
fn ten_million_changed_blocks_are_read_or_refused() {
    fuzz_apart(10_000_000);
}
