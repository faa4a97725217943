//! The arrays of tables, `[[policy]]`, `[[exception]]` and `[[sink]]`: which keys they have, and
//! their values.
//!
//! What patterns and paths mean is read by the stage `policy`; here each value keeps its line.

use plimsoll_ebpf::rules::{Class, Mode, Rule};

use super::{sink::SinkTable, sink_keys};

/// What the arrays of tables say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// `[[policy]]`, in the order of the file.
    pub policies: Vec<PolicyTable>,
    /// `[[exception]]`, in the order of the file.
    pub exceptions: Vec<ExceptionTable>,
    /// `[[sink]]`, in the order of the file.
    pub sinks: Vec<SinkTable>,
}

/// A text of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub value: String,
    /// Its line, from 1.
    pub line: usize,
}

/// Which containers are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectorTable {
    /// Pattern of the image.
    pub image: Option<Text>,
    /// Pattern of the service.
    pub service: Option<Text>,
    /// Pattern of the container.
    pub container: Option<Text>,
}

/// How classes are treated in some containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTable {
    /// Line of its heading, from 1.
    pub line: usize,
    /// In which.
    pub selector: SelectorTable,
    /// The mode of each class, by [`Class`]; at least one is set.
    pub modes: [Option<Mode>; Class::ALL.len()],
}

/// What is allowed to some containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionTable {
    /// Line of its heading, from 1.
    pub line: usize,
    /// To which; at least one part is given.
    pub selector: SelectorTable,
    /// The rules that may be broken; at least one.
    pub rules: Vec<Rule>,
    /// The key by which `place` was given: `path` or `peer`.
    pub place_key: &'static str,
    /// Where.
    pub place: Text,
    /// Until when, in nanoseconds since the Unix epoch.
    pub expires_ns: Option<u64>,
    /// Why.
    pub reason: Text,
}

/// What is documented of an array of tables.
pub(super) struct TableInfo {
    /// Name of the array.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) doc: &'static str,
    /// Its keys and what each means.
    pub(super) keys: &'static [(&'static str, &'static str)],
    /// One, as it may stand in a file.
    pub(super) example: &'static str,
}

pub(super) const SELECTOR: [(&str, &str); 3] = [
    (
        "image",
        "Containers of this image: `repository:tag`, `repository` for any tag, or a digest `sha256:…`.",
    ),
    ("service", "Containers of this Swarm or compose service."),
    (
        "container",
        "The container of this name, or of an id that begins with these 12 digits or more.",
    ),
];

/// Every array of tables.
pub(super) static TABLES: &[TableInfo] = &[
    TableInfo {
        name: "policy",
        doc: "How classes are treated in some containers, other than `[modes]` says. All parts that are given must match; in each, `*` stands for anything. Without any it is about every container. Of several that match, the later one wins, and `plimsoll mode` wins over the file.",
        keys: &[
            SELECTOR[0],
            SELECTOR[1],
            SELECTOR[2],
            ("exec", "Mode for programs, scripts and libraries: `learn`, `monitor` or `enforce`."),
            ("file", "Mode for files that are written, renamed or removed."),
            ("network", "Mode for peers and ports."),
        ],
        example: "[[policy]]\nimage = \"nginx:*\"\nexec = \"enforce\"\nfile = \"monitor\"\n",
    },
    TableInfo {
        name: "exception",
        doc: "What some containers may do although it breaks a rule. At least one of `image`, `service` and `container` is needed; all that are given must match.",
        keys: &[
            SELECTOR[0],
            SELECTOR[1],
            SELECTOR[2],
            ("rule", "The rule that may be broken, such as `write_outside_volumes`."),
            ("rules", "Several of them, in place of `rule`: a list."),
            (
                "path",
                "Where, as the container sees it: `/a/b` exactly; `/a/b/*` or `/a/b/pre*` for one name in a directory; `/a/b/**` for everything below it.",
            ),
            (
                "peer",
                "With whom, in place of `path`, for rules on the network: `10.0.0.0/8:5432/tcp`, `*:53/udp`, `[fd00::1]:443`; of `foreign_listener`, the address and port at which peers are waited for; `raw` for `raw_socket`.",
            ),
            (
                "expires",
                "When it ends, such as `\"2026-12-31T00:00:00Z\"`; never, where it is left out.",
            ),
            ("reason", "Why it is allowed. Must be there."),
        ],
        example: "[[exception]]\nservice = \"shop_web\"\nrule = \"write_outside_volumes\"\npath = \"/var/cache/app/**\"\nexpires = \"2026-12-31T00:00:00Z\"\nreason = \"renders its templates at start\"\n",
    },
    sink_keys::INFO,
];
