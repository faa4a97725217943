//! One image: how far it is learned, what is expected of it, and what it did.

use super::{page::Page, panel::Panel};

const COMMANDS: &str = "\
On a node that runs it, or by `docker exec` in the agent's container:

```sh
plimsoll profile list
plimsoll profile show IMAGE                    # what is known, and what is missing until it is monitored
plimsoll alerts --image IMAGE --since 1h       # each alert, with container, process and reason
plimsoll mode enforce --class exec --image IMAGE --dry-run --since 7d
```
";

pub(super) fn page() -> Page {
    Page {
        uid: "plimsoll-image",
        title: "Plimsoll / One image",
        description: "How far an image is learned, how many alerts are to be expected of it, and those that were.",
        variable: Some((
            "image",
            "Image",
            "label_values(plimsoll_image_containers{job=~\"$job\", instance=~\"$instance\"}, image)",
        )),
        rows: vec![("Now", now()), ("Profile", profile()), ("Alerts", alerts())],
    }
}

fn now() -> Vec<Panel> {
    vec![
        Panel::stat("Containers", "Running containers of the image.")
            .query("sum(plimsoll_image_containers{@, image=~\"$image\"})", ""),
        Panel::stat("Nodes", "Nodes that run it.").query(
            "count(plimsoll_image_containers{@, image=~\"$image\", image!=\"other\"} > 0)",
            "",
        ),
        Panel::stat("Alerts", "Alerts in the shown time.")
            .query("sum(increase(plimsoll_image_alerts_total{@, image=~\"$image\"}[$__range]))", "")
            .below("green")
            .from(1.0, "orange"),
        Panel::stat(
            "Dimensions monitored",
            "Dimensions in which what is new is told, of all nodes.",
        )
        .query("sum(plimsoll_image_profiles{@, image=~\"$image\", state=\"monitor\"})", ""),
        Panel::stat(
            "Dimensions learned",
            "Dimensions in which what is new is still learned, and not told.",
        )
        .query("sum(plimsoll_image_profiles{@, image=~\"$image\", state=\"learning\"})", "")
        .runbook("learning.md#plimsolllearningstuck"),
        Panel::stat("Behaviours known", "Behaviours that are known, of all nodes.")
            .query("sum(plimsoll_image_behaviours{@, image=~\"$image\"})", ""),
    ]
}

fn profile() -> Vec<Panel> {
    vec![
        Panel::lines("State", "Dimensions of the image's profiles by how far they are, of all nodes.")
            .query("sum by (state) (plimsoll_image_profiles{@, image=~\"$image\"})", "{{state}}")
            .stacked()
            .runbook("learning.md"),
        Panel::lines(
            "Novelty: alerts expected and raised in a day",
            "What is expected at most once all dimensions are monitored, with 95 % confidence, summed over \
             the nodes; and departures that were told in the last day.",
        )
        .query("sum(plimsoll_image_expected_daily_alerts{@, image=~\"$image\"})", "expected at most")
        .query(
            "sum(increase(plimsoll_image_alerts_total{@, image=~\"$image\", rule=~\"reverse_shell|\
             new_shell|new_tool|discovery|new_process|new_lineage|new_arguments|new_write|new_sensitive_write|new_listener|new_peer|new_privilege|volume_out|volume_in|cpu_load|memory_use|pids\"}[1d]))",
            "raised",
        )
        .runbook("learning.md#plimsolldeparturesheldback"),
        Panel::lines("Behaviours known", "Behaviours by node. Where the line is flat, nothing is new.")
            .query("sum by (instance) (plimsoll_image_behaviours{@, image=~\"$image\"})", "{{instance}}"),
        Panel::text("Look closer", "Commands for one image and its containers.", COMMANDS),
    ]
}

fn alerts() -> Vec<Panel> {
    vec![
        Panel::bars("By rule", "Alerts of the image by rule.")
            .query(
                "sum by (rule) (increase(plimsoll_image_alerts_total{@, image=~\"$image\"}[$__rate_interval])) > 0",
                "{{rule}}",
            )
            .runbook("detections.md"),
        Panel::bars("By node", "Alerts of the image by node.")
            .query(
                "sum by (instance) (increase(plimsoll_image_alerts_total{@, image=~\"$image\"}[$__rate_interval])) \
                 > 0",
                "{{instance}}",
            )
            .runbook("detections.md"),
    ]
}
