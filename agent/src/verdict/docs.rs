//! The documentation page of the rules, from their list.

use std::fmt::Write;

use plimsoll_ebpf::rules::{Class, Rule};

/// `docs/rules.md`
pub fn page() -> String {
    let mut page = String::from(
        "# Rules\n\n\
         What a container must not do, whatever its image was seen to do. Who breaks a rule raises \
         an alert; where the rule's class is enforced, the act is stopped as well. How, how surely, \
         and how to try it first is in [enforcement.md](enforcement.md).\n\n\
         `plimsoll alerts --rule NAME` shows who broke one; `plimsoll profile allow --rule NAME` \
         lets some containers break it at a path. Techniques and tactics are those of [MITRE \
         ATT&CK](https://attack.mitre.org/).\n\n\
         | rule | id | class | severity | technique | tactic |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for rule in Rule::ALL {
        let info = rule.info();
        let _ = writeln!(
            page,
            "| [`{name}`](#{name}) | {id} | `{class}` | {severity} | {technique} | {tactic} |",
            name = info.name,
            id = *rule as u8,
            class = info.class.name(),
            severity = info.severity.name(),
            technique = technique(info.technique),
            tactic = info.tactic,
        );
    }
    for class in Class::ALL {
        let _ = write!(page, "\n## Class `{}`\n", class.name());
        let rules = Rule::ALL.iter().filter(|rule| rule.class() == class);
        rules.clone().for_each(|rule| section(&mut page, *rule));
        if rules.count() == 0 {
            page += "\nThere are no rules of this class yet.\n";
        }
    }
    page += "\n<!-- Generated from agent-ebpf/src/rules/mod.rs: \
             UPDATE_DOCS=1 cargo test -p plimsoll verdict -->\n";
    page
}

fn section(page: &mut String, rule: Rule) {
    let info = rule.info();
    let _ = write!(
        page,
        "\n### `{}`\n\n{} Severity {}; {}, {}.\n\n{}\n",
        info.name,
        info.summary,
        info.severity.name(),
        technique(info.technique),
        info.tactic,
        info.doc,
    );
}

/// A technique with its page; of a sub-technique the page lies below the technique's.
fn technique(id: &str) -> String {
    format!("[{id}](https://attack.mitre.org/techniques/{}/)", id.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pages::assert_fresh;

    #[test]
    fn the_page_is_fresh() {
        assert_fresh("docs/rules.md", &page());
    }

    #[test]
    fn every_rule_has_its_line_and_its_section() {
        let page = page();
        for rule in Rule::ALL {
            let name = rule.info().name;
            assert!(page.contains(&format!("\n| [`{name}`](#{name}) | {} |", *rule as u8)));
            assert!(page.contains(&format!("\n### `{name}`\n\n{}", rule.info().summary)));
            assert!(page.contains(rule.info().doc));
        }
    }
}
